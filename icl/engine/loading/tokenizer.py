"""A transformers tokenizer behind the `Tokenizer` protocol."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from icl.engine.loading.chat import ChatTemplate
from icl.engine.loading.ends import ends
from icl.engine.loading.special import Wrapping, wrapping
from icl.errors import ModelError
from icl.types import TokenIds

log = logging.getLogger("icl")

SHORT = 64
"""Characters up to which a text's ids are remembered."""
SHORT_KEPT = 4096
"""Texts; beyond this the memory is emptied."""


class HFTokenizer:
    """Wraps a transformers tokenizer so that special tokens are neither doubled nor lost.

    A text is encoded with what the tokenizer puts before every text (BOS, or several tokens), once, also
    where a chat template wrote it already; what it puts after a text is left out. `eos_ids`: see
    `icl.engine.loading.ends`; the argument holds those of the model's generation settings.
    """

    def __init__(self, tokenizer: Any, eos_ids: frozenset[int] = frozenset()) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.items()
        special = {str(t.content): int(i) for i, t in added if t.special}
        self.eos_ids = ends(eos_ids, tokenizer.eos_token_id, special)
        self._said_fold = False
        self._short: dict[str, TokenIds] = {}

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

    @cached_property
    def _wrapping(self) -> Wrapping:
        return wrapping(lambda text: self._ids(text, False), lambda text: self._ids(text, True))

    def _ids(self, text: str, special: bool) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special, verbose=False).input_ids)

    def _begun(self, text: str, body: Sequence[int]) -> TokenIds:
        bos = self.tokenizer.bos_token
        late = bool(bos) and text[:1].isspace() and text.lstrip().startswith(bos)
        return self._wrapping.begin(tuple(body), late)

    def encode(self, text: str) -> TokenIds:
        """See Tokenizer. Short texts are remembered: labels are asked for with every query."""
        if len(text) > SHORT:
            return self._begun(text, self._ids(text, False))
        known = self._short.get(text)
        if known is None:
            known = self._begun(text, self._ids(text, False))
            if len(self._short) >= SHORT_KEPT:
                self._short.clear()
            self._short[text] = known
        return known

    def encode_many(self, texts: Sequence[str]) -> list[TokenIds]:
        """`encode` of each text, in one call of the tokenizer."""
        if not texts:
            return []
        rows = self.tokenizer(list(texts), add_special_tokens=False, verbose=False).input_ids
        return [self._begun(text, row) for text, row in zip(texts, rows, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """See Tokenizer."""
        return str(
            self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """How the model writes a chat, and what it adds; None where it has no template."""
        if not self.tokenizer.chat_template:
            return None

        def write(messages: Sequence[Mapping[str, str]]) -> str:
            return str(
                self.tokenizer.apply_chat_template(
                    [dict(m) for m in messages], tokenize=False, add_generation_prompt=True
                )
            )

        marks = {str(t.content) for t in self.tokenizer.added_tokens_decoder.values()}
        return ChatTemplate(write, marks, self.tokenizer.name_or_path)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """See Tokenizer. A system message that the template does not take opens the first user turn."""
        template = self.chat_template
        if template is None:
            raise ModelError(
                f"{self.tokenizer.name_or_path} has no chat template; "
                "set prompt: {chat: false} in the experiment"
            )
        instructed = any(m["role"] == "system" for m in messages)
        if instructed and not template.takes_system and not self._said_fold:
            self._said_fold = True
            log.warning("%s: %s", self.tokenizer.name_or_path, template.notes(True)[0])
        return template.text(messages)

    def chat_notes(self, instruction: bool) -> tuple[str, ...]:
        """What a reader of chat prompts should know: an instruction moved, or one that the template adds."""
        return () if self.chat_template is None else self.chat_template.notes(instruction)
