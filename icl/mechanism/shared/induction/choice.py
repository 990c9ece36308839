"""Which heads are taken away: those with the highest scores, and as many others by lot."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from icl.mechanism.shared.heads import Head


def top_heads(scores: NDArray[np.float64], count: int) -> list[Head]:
    """The `count` heads with the highest scores [L, H], highest first; ties by layer and head."""
    order = np.argsort(-scores, axis=None, kind="stable")[:count]
    return [Head(int(at) // scores.shape[1], int(at) % scores.shape[1]) for at in order]


def random_heads(
    top: Sequence[Head], layers: int, heads: int, draw: np.random.Generator
) -> tuple[list[Head], int]:
    """As many heads by lot, none of them in `top`, from the same layers; and how many are from other layers.

    Where a layer has fewer others left than it has in `top`, the rest are from the nearest layers that have
    some. ValueError where all heads together are too few.
    """
    if layers * heads < 2 * len(top):
        raise ValueError(f"of {layers * heads} heads there are no two different sets of {len(top)}")
    taken: set[Head] = set(top)
    chosen, moved = [], 0
    for layer in sorted({head.layer for head in top}):
        free = _free(layer, heads, taken)
        wanted = sum(head.layer == layer for head in top)
        for at in draw.permutation(len(free))[:wanted]:
            chosen.append(free[at])
            taken.add(free[at])
        moved += max(0, wanted - len(free))
    for layer in _missing(top, chosen):
        near = sorted(range(layers), key=lambda other: (abs(other - layer), other))
        free = next(found for other in near if (found := _free(other, heads, taken)))
        chosen.append(free[int(draw.integers(len(free)))])
        taken.add(chosen[-1])
    return sorted(chosen), moved


def _free(layer: int, heads: int, taken: Collection[Head]) -> list[Head]:
    return [Head(layer, head) for head in range(heads) if Head(layer, head) not in taken]


def _missing(top: Sequence[Head], chosen: Sequence[Head]) -> list[int]:
    """The layers that too few are chosen for, once for each that is missing."""
    count = [head.layer for head in chosen]
    wanted = [head.layer for head in top]
    return [n for n in sorted(set(wanted)) for _ in range(wanted.count(n) - count.count(n))]
