"""Exact attention over a chunk on CPU: blocks of rows against the keys that they can see.

A block's keys - the stack below its first row's stair, and the rows of the chunk whose subtree
reaches into it - are gathered once a layer; what a row may not see of them is masked. Neighbouring
blocks that see about as many keys go together into one call of torch's blockwise CPU kernel, which
never writes the scores down. It knows no softcap: such scores are written, a few blocks at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.attention.dense import DenseChunkAttention, PathStack, apply_sinks, has_kernel
from icl.engine.attention.flex import FlexChunkAttention
from icl.engine.attention.native import NativeChunkAttention
from icl.engine.attention.runs import RunChunkAttention, has_long_runs
from icl.engine.native import library
from icl.engine.trie.plan import Chunk

BLOCK_ROWS = 128
"""Smaller blocks see fewer keys in vain, larger ones gather fewer keys; of 32, 64, 128 and 256 this was the
fastest or level on every scoring workload (benchmarks/README.md)."""
SLACK = 1.2
"""Blocks are put together while padding them to one width costs at most this factor."""
CAPPED_BYTES = 8 << 20
"""Scores with a softcap that are written down at once: they stay in the processor's cache."""
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows [first, last) of a chunk, the columns of [stack | chunk] they see, and which row sees which.

    columns [n], increasing; seen bool [last - first, n].
    """

    first: int
    last: int
    columns: NDArray[np.int64]
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """Neighbouring blocks of `size` rows, ready for one call of the kernel.

    Rows [first, last) of the chunk; columns [blocks * n]; mask [blocks, 1, G * size, n]: 0 where a query
    sees a key, -inf elsewhere; the G query heads of a key head stand below one another. Rows past
    the chunk's end see everything: what they get is thrown away.
    """

    first: int
    last: int
    size: int
    columns: Tensor
    mask: Tensor

    @property
    def blocks(self) -> int:
        """How many."""
        return len(self.mask)


def row_blocks(chunk: Chunk, size: int, window: int | None = None) -> Iterator[RowBlock]:
    """The blocks of a chunk, `size` rows each; the last may be shorter."""
    stack = chunk.stack_depth
    visible = np.minimum.accumulate(chunk.positions)
    for first in range(0, chunk.rows, size):
        last = min(first + size, chunk.rows)
        own = np.flatnonzero(chunk.end[:last] > first)
        above = int(visible[first])
        columns = np.concatenate([np.arange(above), stack + own])
        rows = np.arange(first, last)[:, None]
        seen = np.empty((last - first, len(columns)), dtype=np.bool_)
        seen[:, :above] = np.arange(above)[None] < visible[first:last, None]
        seen[:, above:] = (own[None] <= rows) & (rows < chunk.end[own][None])
        if window is not None:
            depth = np.concatenate([np.arange(above), chunk.positions[own]])
            seen &= chunk.positions[first:last, None] - depth[None] < window
            used = np.flatnonzero(seen.any(axis=0))
            columns, seen = columns[used], seen[:, used]
        yield RowBlock(first, last, columns, seen)


def grouped(blocks: Iterable[RowBlock], group: int, dtype: torch.dtype) -> Iterator[BlockGroup]:
    """Runs of neighbouring blocks, padded to one width each."""
    run: list[RowBlock] = []
    for block in blocks:
        widths = [len(b.columns) for b in (*run, block)]
        if run and max(widths) * len(widths) > SLACK * sum(widths):
            yield _together(run, group, dtype)
            run = []
        run.append(block)
    if run:
        yield _together(run, group, dtype)


def _together(run: Sequence[RowBlock], group: int, dtype: torch.dtype) -> BlockGroup:
    size = max(b.last - b.first for b in run)
    width = max(len(b.columns) for b in run)
    columns = np.zeros((len(run), width), dtype=np.int64)
    seen = np.zeros((len(run), size, width), dtype=np.bool_)
    for n, block in enumerate(run):
        columns[n, : len(block.columns)] = block.columns
        seen[n, : len(block.seen), : len(block.columns)] = block.seen
        seen[n, len(block.seen) :] = True  # rows past the end: a row that sees nothing would be NaN
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(torch.from_numpy(~seen), -torch.inf)
    return BlockGroup(
        run[0].first, run[-1].last, size, torch.from_numpy(columns.ravel()), mask.repeat(1, group, 1)[:, None]
    )


def chunk_attention(chunk: Chunk, stack: PathStack, device: torch.device) -> Attend:
    """The fastest exact attention over a chunk on this device."""
    if device.type == "cuda":
        return FlexChunkAttention(chunk, stack, device)
    plain = torch_attention(chunk, stack, device)
    if device.type == "cpu" and library.available():
        return NativeChunkAttention(chunk, stack, plain)
    return plain


def torch_attention(chunk: Chunk, stack: PathStack, device: torch.device) -> Attend:
    """The fastest one without compiled kernels, on CPU."""
    if device.type == "cpu" and has_kernel():
        blocks = BlockChunkAttention(chunk, stack)
        return RunChunkAttention(chunk, stack, blocks, DTYPES) if has_long_runs(chunk) else blocks
    return DenseChunkAttention(chunk, stack, device)


class BlockChunkAttention:
    """Drop-in for DenseChunkAttention on CPU; precisions without a kernel are handed to that one."""

    def __init__(self, chunk: Chunk, stack: PathStack, block_rows: int = BLOCK_ROWS) -> None:
        self.chunk = chunk
        self.stack = stack
        self.block_rows = block_rows
        self._groups: dict[int | None, list[BlockGroup]] = {}
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64))
        self._dense = DenseChunkAttention(chunk, stack, torch.device("cpu"))

    def groups(self, window: int | None, group: int, dtype: torch.dtype) -> list[BlockGroup]:
        """What the kernel is called with, made once a chunk and window and shared by its layers."""
        if window not in self._groups:
            blocks = row_blocks(self.chunk, self.block_rows, window)
            self._groups[window] = list(grouped(blocks, group, dtype))
        return self._groups[window]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, T, D], k, v [Hkv, T, D] -> [H, T, D], a view of memory laid out [T, H, D]."""
        if q.dtype not in DTYPES:
            return self._dense(q, k, v, call)
        heads, rows, size = q.shape
        kv_heads, group = k.shape[0], q.shape[0] // k.shape[0]
        above_k, above_v = self.stack.view(call.layer, self.chunk.stack_depth, k)
        keys = torch.cat([above_k, k], dim=1)  # [Hkv, P + T, D]
        values = torch.cat([above_v, v], dim=1)
        out = q.new_empty((rows, kv_heads, group, size))
        lse = q.new_empty((heads, rows), dtype=torch.float32) if call.sinks is not None else None
        for one in self.groups(call.window, group, q.dtype):
            part, part_lse = _attend(q.view(kv_heads, group, rows, size), keys, values, one, call)
            count = one.last - one.first
            out[one.first : one.last] = part.permute(0, 3, 1, 2, 4).flatten(0, 1)[:count]
            if lse is not None:
                flat = part_lse.permute(1, 2, 0, 3).reshape(heads, -1)
                lse[:, one.first : one.last] = flat[:, :count]
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        result = out.view(rows, heads, size).transpose(0, 1)
        if call.sinks is not None and lse is not None:
            result = apply_sinks(result.float(), lse, call.sinks).to(q.dtype)
        return result


def _attend(
    q: Tensor, keys: Tensor, values: Tensor, one: BlockGroup, call: LayerCall
) -> tuple[Tensor, Tensor]:
    """q [Hkv, G, T, D], keys and values [Hkv, P + T, D] -> out [n, Hkv, G, B, D], lse [n, Hkv, G, B] of the
    n blocks of B rows of a group."""
    kv_heads, group, _, size = q.shape
    queries = q[:, :, one.first : one.last]
    missing = one.blocks * one.size - queries.shape[2]
    if missing:
        queries = torch.nn.functional.pad(queries, (0, 0, 0, missing))
    folded = queries.view(kv_heads, group, one.blocks, one.size, size).permute(2, 0, 1, 3, 4)
    folded = folded.reshape(one.blocks, kv_heads, group * one.size, size)
    k, v = (
        x.index_select(1, one.columns).view(kv_heads, one.blocks, -1, size).transpose(0, 1)
        for x in (keys, values)
    )
    if call.softcap is None:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            folded, k, v, 0.0, False, attn_mask=one.mask, scale=call.scaling
        )
    else:
        out, lse = _capped(folded, k, v, one.mask, call.scaling, call.softcap)
    shape = (one.blocks, kv_heads, group, one.size)
    return out.view(*shape, size), lse.view(shape)


def _capped(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scaling: float, softcap: float
) -> tuple[Tensor, Tensor]:
    """As the kernel, with scores of softcap * tanh(score / softcap): q [n, Hkv, R, D], k and v
    [n, Hkv, w, D], mask [n, 1, R, w] -> out [n, Hkv, R, D] in v's dtype, lse [n, Hkv, R]; scores in fp32."""
    blocks, heads, rows, _ = q.shape
    at_once = max(CAPPED_BYTES // (4 * heads * rows * k.shape[2]), 1)
    out, lse = torch.empty_like(q), q.new_empty((blocks, heads, rows), dtype=torch.float32)
    for low in range(0, blocks, at_once):
        part = slice(low, low + at_once)
        scores = torch.matmul(q[part].float().mul(scaling / softcap), k[part].float().transpose(2, 3))
        scores.tanh_().mul_(softcap).add_(mask[part])
        peak = scores.amax(dim=-1, keepdim=True)
        weights = scores.sub_(peak).exp_()
        total = weights.sum(dim=-1, keepdim=True)
        out[part] = torch.matmul(weights, v[part].float()).div_(total)
        lse[part] = (peak + total.log())[..., 0]
    return out, lse
