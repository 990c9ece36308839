"""Random tokens that are repeated: nothing but looking back can foretell them (Olsson et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.errors import ConfigError
from icl.mechanism.shared.heads import HeadReader
from icl.protocols import Tokenizer

HEAD_ROWS = 512
"""Rows of logits that are made at once."""


def middle_tokens(tokenizer: Tokenizer, vocabulary: int) -> NDArray[np.int64]:
    """Ids of words, parts of words and numbers of middling frequency: the middle half of the vocabulary.

    Vocabularies made by merges, and most others, are ordered by frequency.
    """
    ids = range(vocabulary // 4, vocabulary - vocabulary // 4)
    return np.array([i for i in ids if i not in tokenizer.eos_ids and _plain(tokenizer.decode([i]))])


def _plain(text: str) -> bool:
    return text.strip().isalnum()


def first_token(network: Any, tokenizer: Tokenizer) -> int | None:
    """What stands before every text: BOS, else EOS, as GPT-2 was trained; None where there is neither."""
    config = network.config.get_text_config()
    bos = getattr(config, "bos_token_id", None)
    return int(bos) if isinstance(bos, int) else min(tokenizer.eos_ids, default=None)


def repeated(
    count: int, tokens: int, repeats: int, of: NDArray[np.int64], first: int | None,
    draw: Callable[[int], np.random.Generator],
) -> Tensor:  # fmt: skip
    """[count, 1 + tokens * repeats]: `first`, then different random tokens, again and again. draw: a stream a
    text. ConfigError where there are fewer tokens to draw from."""
    if len(of) < tokens:
        raise ConfigError(
            f"tokens is {tokens}, and the middle half of the vocabulary has {len(of)} words; allowed: tokens "
            f"<= {len(of)}"
        )
    rows = [np.tile(draw(at).choice(of, tokens, replace=False), repeats) for at in range(count)]
    lead = np.full((count, 0 if first is None else 1), first or 0)
    return torch.from_numpy(np.concatenate([lead, np.stack(rows)], axis=1).astype(np.int64))


def losses(reader: HeadReader, texts: Tensor) -> NDArray[np.float64]:
    """[B, S - 1] nats of each token but the first of texts [B, S], as the network is now."""
    hidden = reader.forward(texts, lambda seen: None, [0])
    found = [_losses(reader, states[:-1], ids[1:]) for states, ids in zip(hidden, texts, strict=True)]
    return np.stack(found)


def _losses(reader: HeadReader, states: Tensor, ids: Tensor) -> NDArray[np.float64]:
    parts = []
    for some, targets in zip(torch.split(states, HEAD_ROWS), torch.split(ids, HEAD_ROWS), strict=True):
        with torch.inference_mode():
            parts.append(torch.nn.functional.cross_entropy(reader.logits(some), targets, reduction="none"))
    return torch.cat(parts).double().cpu().numpy()


def batches(texts: Tensor, rows: int) -> Iterator[Tensor]:
    """Texts [n, S] some at a time, so that about `rows` tokens are forwarded at once."""
    yield from torch.split(texts, max(1, rows // texts.shape[1]))
