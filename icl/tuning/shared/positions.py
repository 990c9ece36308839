"""Places in texts where the next piece is to be foretold, and what a foretelling is worth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from icl.protocols import Tokenizer
from icl.training import Network
from icl.types import TokenIds

TOP = 16
"""The entropy is that of so many most likely tokens, their probabilities made to add up to 1."""
AHEAD = 64
"""Tokens of the true continuation that an answer may cover."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two tokens of a text."""

    id: str
    context: str
    """The text before it."""
    continuation: bytes
    """What follows, as UTF-8."""
    boundaries: frozenset[int]
    """Lengths in bytes after which a token of the continuation ends, and a character with it."""
    entropy: float
    """Of the next token under the base model, in nats."""


def reward(answer: str, position: Position) -> float:
    """1 where the answer's bytes are an exact beginning of what follows and end where one of its tokens ends,
    else 0. The empty answer says nothing: 0. (Dong et al. 2025.)"""
    said = answer.encode("utf-8", "surrogatepass")
    return float(position.continuation.startswith(said) and len(said) in position.boundaries and bool(said))


def advantages(rewards: Sequence[float]) -> list[float]:
    """(r - mean) / standard deviation within a group of rollouts; zeros where all are worth the same."""
    values = np.asarray(rewards, dtype=np.float64)
    spread = float(values.std())
    if spread == 0.0:
        return [0.0] * len(values)
    return [float(v) for v in (values - values.mean()) / spread]


def token_ends(text: str, ids: TokenIds, tokenizer: Tokenizer) -> list[int | None]:
    """For each token the length in bytes of the text up to its end; None inside a character."""
    found: list[int | None] = []
    for count in range(1, len(ids) + 1):
        so_far = tokenizer.decode(ids[:count])
        found.append(len(so_far.encode("utf-8")) if text.startswith(so_far) else None)
    return found


@torch.no_grad()
def entropies(network: Network, ids: TokenIds) -> list[float]:
    """For each token but the first, how open it was: the entropy of the TOP most likely tokens there."""
    network.eval()
    logits = network(input_ids=torch.tensor([ids], device=network.device), use_cache=False).logits[0, :-1]
    top = logits.float().topk(min(TOP, logits.shape[-1]), dim=-1).values.log_softmax(-1)
    return [float(h) for h in -(top.exp() * top).sum(-1)]


def positions_of(
    name: str, text: str, network: Network, tokenizer: Tokenizer, *, entropy: float, most_tokens: int
) -> tuple[list[Position], int, float]:
    """Positions of a text's first `most_tokens` tokens at which the next one has at least this entropy; the
    tokens forwarded; and the largest entropy of any."""
    ids = tokenizer.encode(text)[: most_tokens + AHEAD]
    if len(ids) < 2:
        return [], 0, 0.0
    ends = token_ends(text, ids, tokenizer)
    whole = text.encode("utf-8")
    found = []
    seen = [0.0]
    for at, value in enumerate(entropies(network, ids), start=1):
        start = ends[at - 1]
        if not start or at > most_tokens:  # nothing before it, or inside a character
            continue
        seen.append(value)
        if value < entropy:
            continue
        after = [end - start for end in ends[at : at + AHEAD] if end is not None and end > start]
        if after:
            found.append(
                Position(
                    f"{name}@{at}",
                    whole[:start].decode("utf-8"),
                    whole[start : start + max(after)],
                    frozenset(after),
                    value,
                )
            )
    return found, len(ids), max(seen)


def hash_of_positions(positions: Sequence[Position]) -> str:
    """A digest of where and what."""
    total = hashlib.blake2b(digest_size=8)
    for p in positions:
        total.update(repr((p.context, p.continuation, sorted(p.boundaries))).encode())
    return total.hexdigest()
