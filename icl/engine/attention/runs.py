"""Exact attention over a chunk of few long runs on CPU: a causal call a run, a rectangle on what is above.

A run is a stretch of rows each of which is the only child that follows its predecessor: a long text that
nothing shares. Masks of blocks would be written and read for it in vain, half of their keys unseen; the
kernel's own causal order needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.attention.dense import PathStack, apply_sinks
from icl.engine.trie.plan import Chunk

LONG_RUN = 256
"""Rows of a run, on average over a chunk, from which on runs beat blocks."""


def chunk_runs(chunk: Chunk) -> list[tuple[int, int]]:
    """Rows [first, last) of each run, in order."""
    breaks = (np.flatnonzero(np.diff(chunk.positions) != 1) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, chunk.rows], strict=True))


def has_long_runs(chunk: Chunk) -> bool:
    """Is the chunk made of runs of LONG_RUN rows and more, on average?"""
    return chunk.rows >= LONG_RUN * len(chunk_runs(chunk))


def runs_with_above(chunk: Chunk) -> Iterator[tuple[int, int, int, Tensor]]:
    """(first row, last row, depth up to which it sees the stack, rows of the chunk above it), run by run."""
    for first, last in chunk_runs(chunk):
        above = np.flatnonzero(chunk.end[:first] > first)
        yield first, last, int(chunk.positions[first]) - len(above), torch.from_numpy(above)


class RunChunkAttention:
    """Drop-in for DenseChunkAttention on CPU. `other`: for calls that the kernel's causal order does not
    cover (softcap, a window that is shorter than the texts)."""

    def __init__(self, chunk: Chunk, stack: PathStack, other: Attend, dtypes: Sequence[torch.dtype]) -> None:
        self.chunk = chunk
        self.stack = stack
        self.other = other
        self.dtypes = dtypes
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64))
        self._runs = list(runs_with_above(chunk))
        self._longest = int(chunk.positions.max()) + 1

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, T, D], k, v [Hkv, T, D] -> [H, T, D], a view of memory laid out [T, H, D]."""
        windowed = call.window is not None and call.window < self._longest
        if call.softcap is not None or windowed or q.dtype not in self.dtypes:
            return self.other(q, k, v, call)
        heads, rows, size = q.shape
        stack_k, stack_v = self.stack.view(call.layer, self.chunk.stack_depth, k)
        grouped = q.view(k.shape[0], -1, rows, size)  # [Hkv, G, T, D]
        result = q.new_empty((rows, heads, size))
        for first, last, depth, above in self._runs:
            queries = grouped[:, :, first:last]
            out, lse = _kernel(queries, k[:, first:last], v[:, first:last], call.scaling, causal=True)
            if depth + len(above):
                keys, values = stack_k[:, :depth], stack_v[:, :depth]
                if len(above):
                    keys = torch.cat([keys, k[:, above]], dim=1)
                    values = torch.cat([values, v[:, above]], dim=1)
                more, more_lse = _kernel(queries, keys, values, call.scaling, causal=False)
                total = torch.logaddexp(lse, more_lse)
                out = out.float().mul_(torch.exp(lse - total)[..., None])
                out.addcmul_(more.float(), torch.exp(more_lse - total)[..., None])
                lse = total
            if call.sinks is not None:
                out = apply_sinks(out.float().flatten(0, 1), lse.flatten(0, 1), call.sinks)
            result[first:last] = out.reshape(heads, last - first, size).transpose(0, 1)
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        return result.transpose(0, 1)


def _kernel(q: Tensor, k: Tensor, v: Tensor, scaling: float, *, causal: bool) -> tuple[Tensor, Tensor]:
    """q [Hkv, G, n, D], k and v [Hkv, m, D] -> out [Hkv, G, n, D], lse [Hkv, G, n]; keys are not copied."""
    shape = (*q.shape[:2], k.shape[1], k.shape[2])
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k[:, None].expand(shape), v[:, None].expand(shape), 0.0, causal, scale=scaling
    )
    return out, lse.view(q.shape[:3])
