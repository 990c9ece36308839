"""Exact attention over a chunk by the compiled kernel: one call a layer, no gather, no mask, no merge."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.attention.dense import PathStack
from icl.engine.attention.spans import SpanPlan, span_plan
from icl.engine.native.attention import DTYPES, SIZES, tree_attention
from icl.engine.trie.plan import Chunk

BLOCK_QUERIES = 192
"""Queries of a block, over the heads that read one key head: packing a tile of keys is paid by as many."""


class NativeChunkAttention:
    """Drop-in for DenseChunkAttention on CPU. `other`: for precisions and head sizes without a kernel."""

    def __init__(self, chunk: Chunk, stack: PathStack, other: Attend) -> None:
        self.chunk = chunk
        self.stack = stack
        self.other = other
        self._plans: dict[int | None, SpanPlan] = {}
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64))

    def plan(self, window: int | None, group: int) -> SpanPlan:
        """Made once a chunk and window, shared by its layers."""
        if window not in self._plans:
            self._plans[window] = span_plan(self.chunk, block_rows(group), window)
        return self._plans[window]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, T, D], k, v [Hkv, T, D] -> [H, T, D], a view of memory laid out [T, H, D]."""
        if q.dtype not in DTYPES or q.shape[2] not in SIZES or q.stride(2) != 1:
            return self.other(q, k, v, call)
        plan = self.plan(call.window, q.shape[0] // k.shape[0])
        out = tree_attention(
            q,
            k,
            v,
            self.stack.view(call.layer, self.chunk.stack_depth, k),
            (plan.keys, plan.spans, plan.starts, plan.rows),
            scaling=call.scaling,
            window=call.window,
            softcap=call.softcap,
            sinks=call.sinks,
        )
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        return out


def block_rows(group: int) -> int:
    """Rows of a block where `group` query heads read a key head: 16 to 128."""
    return min(max(BLOCK_QUERIES // group // 8 * 8, 16), 128)
