"""What in-context learning and fine-tuning do to a decoder's attention and answers, compared (Dai et al.
2023)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]


def cosine(one: Floats, other: Floats) -> Floats:
    """Over the last axis; 0 where one of the two is all zeros."""
    norm = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray((one * other).sum(axis=-1) / np.where(norm > 0, norm, 1.0))


def update(before: Floats, after: Floats) -> Floats:
    """The update of attention outputs [..., hidden], both brought to unit length first, as in the authors'
    code."""
    return _unit(after) - _unit(before)


def _unit(vectors: Floats) -> Floats:
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norm > 0, norm, 1.0))


def sim_aou(zero: Floats, shown: Floats, tuned: Floats) -> Floats:
    """SimAOU by layer: the cosine of two updates of the attention's output at the last token.

    zero, shown, tuned [layers, hidden]: without demonstrations, with them, and without them after
    fine-tuning.
    """
    return cosine(update(zero, shown), update(zero, tuned))


def sim_random(zero: Floats, shown: Floats, draw: np.random.Generator) -> tuple[Floats, Floats]:
    """SimAOU by layer of random updates in place of fine-tuning's: (normal, so that all directions are as
    likely; uniform on [0, 1), the baseline of the authors' code, which is the same direction up to its
    spread)."""
    moved = update(zero, shown)
    return cosine(moved, draw.standard_normal(moved.shape)), cosine(moved, draw.random(moved.shape))


def sim_am(shown: Floats, other: Floats) -> Floats:
    """SimAM by layer: the cosine of a head's attention scores before the softmax, from the last token to the
    query's own tokens, averaged over heads. Both [layers, heads, tokens]."""
    return np.asarray(cosine(shown, other).mean(axis=-1))


def rec2ftp(zero: Flags, shown: Flags, tuned: Flags) -> float | None:
    """Of the queries that fine-tuning sets right, the share that demonstrations set right too.

    zero, shown, tuned [n]: whether the answer is right. None where fine-tuning sets nothing right.
    """
    righted = ~zero & tuned
    return float((righted & shown).sum() / righted.sum()) if righted.any() else None


def righted_anyway(zero: Flags, shown: Flags) -> float | None:
    """Of all queries that are wrong without demonstrations, the share that these set right: what Rec2FTP is
    where the two have nothing to do with one another. None where nothing is wrong."""
    return float((~zero & shown).sum() / (~zero).sum()) if (~zero).any() else None
