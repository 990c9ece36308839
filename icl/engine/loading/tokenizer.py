"""A transformers tokenizer behind the `Tokenizer` protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from icl.errors import ModelError
from icl.types import TokenIds

ENDS = frozenset(
    {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<EOT>"}  # of a text
    | {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<end_of_turn>"}  # of a turn
)
"""Special tokens that mean an end wherever they are special."""


class HFTokenizer:
    """Wraps a transformers tokenizer so that special tokens are neither doubled nor lost.

    `eos_ids`: its own, the given ones (of the model's generation settings), and whatever else of its
    special tokens is an end by its name. A GGUF file names one only, the end of a turn, but below a prompt
    that is no chat the model ends its text with the other; unnoticed, it would begin another text there.
    """

    def __init__(self, tokenizer: Any, eos_ids: frozenset[int] = frozenset()) -> None:
        self.tokenizer = tokenizer
        own = frozenset() if tokenizer.eos_token_id is None else frozenset({int(tokenizer.eos_token_id)})
        added = tokenizer.added_tokens_decoder.items()
        self.eos_ids = eos_ids | own | {int(i) for i, t in added if t.special and t.content in ENDS}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of vocabulary, merges, special tokens and ends."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        text = (
            backend.to_str()
            if backend is not None
            else json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        )
        return hashlib.blake2b(f"{sorted(self.eos_ids)} {text}".encode(), digest_size=8).hexdigest()

    def _special(self, text: str) -> bool:
        """A text that already begins with BOS (chat templates do) must not get a second one."""
        bos = self.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def encode(self, text: str) -> TokenIds:
        """See Tokenizer."""
        return tuple(self.tokenizer(text, add_special_tokens=self._special(text), verbose=False).input_ids)

    def encode_many(self, texts: Sequence[str]) -> list[TokenIds]:
        """`encode` of each text, in one call of the tokenizer."""
        if not texts:
            return []
        with_special = [self._special(t) for t in texts]
        result: list[TokenIds] = [()] * len(texts)
        for flag in (True, False):
            index = [i for i, special in enumerate(with_special) if special is flag]
            if index:
                chosen = [texts[i] for i in index]
                ids = self.tokenizer(chosen, add_special_tokens=flag, verbose=False).input_ids
                for i, row in zip(index, ids, strict=True):
                    result[i] = tuple(row)
        return result

    def decode(self, ids: Sequence[int]) -> str:
        """See Tokenizer."""
        return str(
            self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """See Tokenizer."""
        if not self.tokenizer.chat_template:
            raise ModelError(
                f"{self.tokenizer.name_or_path} has no chat template; "
                "set prompt: {chat: false} in the experiment"
            )
        return str(
            self.tokenizer.apply_chat_template(
                [dict(m) for m in messages], tokenize=False, add_generation_prompt=True
            )
        )
