"""Exact attention over a chunk on CPU: blocks of rows against the keys that they can see.

A block's keys - the stack below its first row's stair, and the rows of the chunk whose subtree
reaches into it - are gathered once a layer; what a row may not see of them is masked. One product
with the mask added inside, one softmax, one product: nothing has to be merged.

The keys are padded to a multiple of `PAD`, so that few shapes occur and kernels are made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl.engine import packed
from icl.engine.attention import DenseChunkAttention, LayerCall, PathStack
from icl.engine.flex_attention import FlexChunkAttention
from icl.engine.plan import Chunk
from icl.engine.trunk import Attend

PAD = 64
BLOCK_ROWS = 128


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows [first, last) of a chunk, the columns of [stack | chunk] they see, and the mask.

    mask [G * rows, columns]: 0 where a query sees a key, -inf elsewhere; the G query heads of a key
    head stand below one another.
    """

    first: int
    last: int
    columns: Tensor
    mask: Tensor


def row_blocks(
    chunk: Chunk, group: int, dtype: torch.dtype, window: int | None = None, block_rows: int = BLOCK_ROWS
) -> list[RowBlock]:
    """The blocks of a chunk; O(rows * columns of a block) work once a chunk, shared by its layers."""
    stack = chunk.stack_depth
    visible = np.minimum.accumulate(chunk.positions)
    blocks = []
    for first in range(0, chunk.rows, block_rows):
        last = min(first + block_rows, chunk.rows)
        own = np.flatnonzero(chunk.end[:last] > first)
        columns = np.concatenate([np.arange(visible[first]), stack + own])
        rows = np.arange(first, last)[:, None]
        seen = np.empty((last - first, len(columns)), dtype=bool)
        seen[:, : visible[first]] = np.arange(visible[first])[None] < visible[first:last, None]
        seen[:, visible[first] :] = (own[None] <= rows) & (rows < chunk.end[own][None])
        if window is not None:
            depth = np.concatenate([np.arange(visible[first]), chunk.positions[own]])
            seen &= chunk.positions[first:last, None] - depth[None] < window
            used = np.flatnonzero(seen.any(axis=0))
            columns, seen = columns[used], seen[:, used]
        padding = -len(columns) % PAD
        mask = torch.full((last - first, len(columns) + padding), -torch.inf, dtype=dtype)
        mask[:, : len(columns)].masked_fill_(torch.from_numpy(seen), 0.0)
        columns = np.concatenate([columns, np.zeros(padding, dtype=columns.dtype)])
        blocks.append(RowBlock(first, last, torch.from_numpy(columns), mask.repeat(group, 1)))
    return blocks


def chunk_attention(chunk: Chunk, stack: PathStack, device: torch.device) -> Attend:
    """The fastest exact attention over a chunk on this device."""
    if device.type == "cpu" and packed.available(torch.float32):
        return BlockChunkAttention(chunk, stack)
    if device.type == "cuda":
        return FlexChunkAttention(chunk, stack, device)
    return DenseChunkAttention(chunk, stack, device)


class BlockChunkAttention:
    """Drop-in for DenseChunkAttention on CPU; a call with softcap or sinks is handed to that one."""

    def __init__(self, chunk: Chunk, stack: PathStack, block_rows: int = BLOCK_ROWS) -> None:
        self.chunk = chunk
        self.stack = stack
        self.block_rows = block_rows
        self._blocks: dict[int | None, list[RowBlock]] = {}
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64))
        ops: Any = torch.ops.mkldnn
        self._dense = DenseChunkAttention(chunk, stack, torch.device("cpu"))
        self._product = ops._linear_pointwise.default
        self._product_plus = ops._linear_pointwise.binary

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, T, D], k, v [Hkv, T, D] -> [H, T, D], a view of memory laid out [T, H, D]."""
        if call.softcap is not None or call.sinks is not None or not packed.available(q.dtype):
            return self._dense(q, k, v, call)
        heads, rows, size = q.shape
        kv_heads = k.shape[0]
        group = heads // kv_heads
        if call.window not in self._blocks:
            self._blocks[call.window] = row_blocks(self.chunk, group, q.dtype, call.window, self.block_rows)
        above_k, above_v = self.stack.view(call.layer, self.chunk.stack_depth, k)
        keys = torch.cat([above_k, k], dim=1)  # [Hkv, P + T, D]
        values = torch.cat([above_v, v], dim=1)
        scaled = (q * call.scaling).view(kv_heads, group, rows, size)
        out = q.new_empty((rows, kv_heads, group, size))
        for block in self._blocks[call.window]:
            seen_keys = keys.index_select(1, block.columns)
            seen_values = values.index_select(1, block.columns).transpose(1, 2).contiguous()  # [Hkv, D, n]
            count = block.last - block.first
            queries = scaled[:, :, block.first : block.last].reshape(kv_heads, group * count, size)
            for h in range(kv_heads):
                scores = self._product_plus(queries[h], block.mask, seen_keys[h], None, "add")
                weights = torch.softmax(scores, dim=-1)
                part = self._product(weights, seen_values[h], None, "none", [], "")
                out[block.first : block.last, h] = part.view(group, count, size).transpose(0, 1)
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        return out.view(rows, heads, size).transpose(0, 1)
