"""Which keys each block of a chunk's rows reads, as spans of neighbours: the plan of the compiled kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.trie.plan import Chunk


@dataclass(frozen=True, slots=True)
class SpanPlan:
    """Keys are numbered through [stack | chunk], of P and T.

    keys int32 [3, P + T]: the first row that sees each key, the row past the last, its position: every key
    is seen by one run of rows (less those that a window leaves out). spans int32 [n, 3]: first key, how
    many, 1 if every row of the block sees all of them; none crosses from stack to chunk. starts int32
    [blocks + 1]: the first span of each block of `rows` rows.
    """

    keys: Tensor
    spans: Tensor
    starts: Tensor
    rows: int


def span_plan(chunk: Chunk, rows: int, window: int | None = None) -> SpanPlan:
    """The plan of a chunk in blocks of `rows` rows."""
    stack = chunk.stack_depth
    visible = np.minimum.accumulate(chunk.positions)  # row i sees the stack below visible[i]
    past = np.searchsorted(-visible, -np.arange(stack), side="left")
    low = np.concatenate([np.zeros(stack, dtype=np.int64), np.arange(chunk.rows)])
    high = np.concatenate([past, chunk.end])
    places = np.concatenate([np.arange(stack), chunk.positions])
    found, starts = [], [0]
    for first in range(0, chunk.rows, rows):
        last = min(first + rows, chunk.rows)
        part = slice(0, stack + last)
        seen = high[part] > first
        full = seen & (low[part] <= first) & (high[part] >= last)
        if window is not None:
            at = chunk.positions[first:last]
            seen &= at.min() - places[part] < window
            full &= at.max() - places[part] < window
        found.append(_spans(seen, full, stack))
        starts.append(starts[-1] + len(found[-1]))
    keys = np.stack([low, high, places]).astype(np.int32)
    spans = np.concatenate(found).astype(np.int32)
    return SpanPlan(
        torch.from_numpy(keys),
        torch.from_numpy(spans),
        torch.from_numpy(np.array(starts, dtype=np.int32)),
        rows,
    )


def _spans(seen: NDArray[np.bool_], full: NDArray[np.bool_], stack: int) -> NDArray[np.int64]:
    """[n, 3] of the runs of keys that are seen alike."""
    state = seen.astype(np.int64) + full
    breaks = np.flatnonzero(np.diff(state)) + 1
    bounds = np.unique(np.concatenate([[0, stack, len(state)], breaks]))
    first, count = bounds[:-1], np.diff(bounds)
    used = state[first] > 0
    found: NDArray[np.int64] = np.stack([first, count, state[first] == 2], axis=1)[used]
    return found
