"""Exact attention over a chunk on a GPU: torch's FlexAttention over the keys [stack | chunk].

Both parts follow one rule: key j is seen by the rows first[j] <= i < last[j]. A key of the chunk is
seen from its own row to the end of its subtree; a key of the stack from row 0 to the foot of its
stair. The blocks that hold a visible pair follow from the smallest and largest first and last of a
block, so no mask of rows x keys is ever made.

Not tried on a GPU yet. On CPU flex_attention runs uncompiled, for tests only.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention
from torch.nn.functional import pad

from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import DenseChunkAttention, PathStack, apply_sinks
from icl.engine.trie.plan import Chunk
from icl.engine.trie.preorder import Int

log = logging.getLogger("icl")

BLOCK = 128
"""Rows and keys of a block; the kernel skips or takes whole blocks."""
BUCKET_FACTOR = 4
"""Rows and stack are padded to BLOCK times a power of this. A kernel is compiled for every pair of
sizes, and that takes seconds; rows and keys that only pad are in no block and cost a copy."""
KERNELS = 256
"""Kernels that may be compiled in one process before torch gives up; its own limit is 8."""

Bools = NDArray[np.bool_]
Mask = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def bucket(count: int, block: int) -> int:
    """The size that `count` rows or keys are padded to; 0 stays 0."""
    if count == 0:
        return 0
    size = block
    while size < count:
        size *= BUCKET_FACTOR
    return size


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """Who sees whom in a chunk, padded: row i sees key j iff first[j] <= i < last[j].

    first, last, depth [S + R]: the stack's keys lie at 0 .. P, the chunk's at S .. S + T, and no block
    straddles the two. positions [R] of the rows. Keys that pad are seen by no row; rows that pad
    see nothing.
    """

    first: Int
    last: Int
    depth: Int
    positions: Int
    stack: int
    """S: the stack's depth P, padded."""

    @property
    def rows(self) -> int:
        """R: the chunk's rows T, padded."""
        return len(self.positions)

    @property
    def keys(self) -> int:
        """S + R."""
        return len(self.first)


def key_ranges(chunk: Chunk, block: int = BLOCK) -> KeyRanges:
    """The ranges of a chunk's keys; O(rows + depth)."""
    depth, rows = chunk.stack_depth, chunk.rows
    stack, padded = bucket(depth, block), bucket(rows, block)
    first = np.full(stack + padded, padded, dtype=np.int64)
    last = np.zeros_like(first)
    depths = np.zeros_like(first)
    # what is left of the stack falls from row to row: depth p is seen by the rows before it falls to p
    visible = np.minimum.accumulate(chunk.positions)
    first[:depth] = 0
    last[:depth] = np.searchsorted(-visible, -np.arange(depth), side="left")
    depths[:depth] = np.arange(depth)
    own = slice(stack, stack + rows)
    first[own], last[own], depths[own] = np.arange(rows), chunk.end, chunk.positions
    positions = np.pad(chunk.positions, (0, padded - rows), mode="edge")
    return KeyRanges(first, last, depths, positions, stack)


def visible_blocks(ranges: KeyRanges, block: int = BLOCK, window: int | None = None) -> tuple[Bools, Bools]:
    """(partial, full), each bool [R / block, (S + R) / block]: blocks to mask pair by pair, and blocks
    of which every pair is visible. The others hold no visible pair.

    Exact without a window; with one, a block is full or left out only where that is certain.
    """
    low = np.arange(0, ranges.rows, block)[:, None]
    first, last = ranges.first.reshape(1, -1, block), ranges.last.reshape(1, -1, block)
    seen = (first.min(axis=2) < low + block) & (last.max(axis=2) > low)
    full = (first.max(axis=2) <= low) & (last.min(axis=2) >= low + block)
    if window is not None:
        oldest = ranges.positions.reshape(-1, 1, block) - window + 1
        depth = ranges.depth.reshape(1, -1, block)
        seen &= depth.max(axis=2) >= oldest.min(axis=2)
        full &= depth.min(axis=2) >= oldest.max(axis=2)
    full &= seen
    return seen & ~full, full


def block_mask(ranges: KeyRanges, device: torch.device, window: int | None, block: int = BLOCK) -> BlockMask:
    """The same as FlexAttention takes it: lists of blocks for each block of rows, and the rule inside."""
    partial, full = visible_blocks(ranges, block, window)
    counts, indices = _lists(partial, device)
    full_counts, full_indices = _lists(full, device)
    return BlockMask.from_kv_blocks(
        counts, indices, full_counts, full_indices,
        BLOCK_SIZE=block, mask_mod=_rule(ranges, device, window), seq_lengths=(ranges.rows, ranges.keys),
    )  # fmt: skip


def _lists(blocks: Bools, device: torch.device) -> tuple[Tensor, Tensor]:
    """Number [1, 1, rows] and indices [1, 1, rows, keys] of the listed blocks, those that count first."""
    counts = torch.from_numpy(blocks.sum(axis=1, dtype=np.int32))
    indices = torch.from_numpy(np.argsort(~blocks, axis=1, kind="stable").astype(np.int32))
    return counts[None, None].to(device), indices[None, None].to(device)


def _rule(ranges: KeyRanges, device: torch.device, window: int | None) -> Mask:
    """Everything that changes from chunk to chunk is in tensors: a number would be compiled in."""

    def on_device(values: Int) -> Tensor:
        return torch.from_numpy(values.astype(np.int32)).to(device)

    first, last = on_device(ranges.first), on_device(ranges.last)

    def below(_b: Tensor, _h: Tensor, row: Tensor, key: Tensor) -> Tensor:
        return (first[key] <= row) & (row < last[key])

    if window is None:
        return below
    oldest, depth = on_device(ranges.positions - window + 1), on_device(ranges.depth)

    def recent(_b: Tensor, _h: Tensor, row: Tensor, key: Tensor) -> Tensor:
        return (first[key] <= row) & (row < last[key]) & (oldest[row] <= depth[key])

    return recent


@functools.cache
def _capped(softcap: float) -> Callable[..., Tensor]:
    """One function a value, so that it is the same function to the compiler in every layer."""

    def cap(score: Tensor, _b: Tensor, _h: Tensor, _row: Tensor, _key: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    return cap


@functools.cache
def _compiled() -> Callable[..., Any]:
    # dynamic=False: sizes come in buckets, and kernels of fixed sizes are the well-trodden path.
    # fullgraph=True: an error, to be said and handled, where torch would go on uncompiled.
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


def run_flex(device: torch.device, *args: Any, **kwargs: Any) -> Any:
    """flex_attention, compiled where there is a kernel to compile."""
    if device.type != "cuda":
        return flex_attention(*args, **kwargs)
    with torch._dynamo.config.patch(recompile_limit=KERNELS):
        return _compiled()(*args, **kwargs)


_refused: set[tuple[object, ...]] = set()
"""Kinds of calls that did not compile or run: those are not tried again."""


class FlexChunkAttention:
    """Drop-in for DenseChunkAttention on a GPU, which it hands a call to where FlexAttention fails."""

    def __init__(self, chunk: Chunk, stack: PathStack, device: torch.device, block: int = BLOCK) -> None:
        self.chunk = chunk
        self.stack = stack
        self.device = device
        self.block = block
        self.ranges = key_ranges(chunk, block)
        self._masks: dict[int | None, BlockMask] = {}
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64)).to(device)
        self._dense = DenseChunkAttention(chunk, stack, device)

    def mask(self, window: int | None) -> BlockMask:
        """The block mask for this window, made once a chunk and shared by its layers."""
        if window not in self._masks:
            self._masks[window] = block_mask(self.ranges, self.device, window, self.block)
        return self._masks[window]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, T, D], k, v [Hkv, T, D] -> out [H, T, D] in q's dtype."""
        kind = (q.device.type, q.dtype, q.shape[0], q.shape[2], len(k), call.window, call.softcap)
        if kind in _refused:
            return self._dense(q, k, v, call)
        try:
            out = self._flex(q, k, v, call)
        except torch.OutOfMemoryError:
            raise  # the chunk is halved, see chunks.py
        except Exception as error:  # whatever the compiler raises: the result can be had without it
            _refused.add(kind)
            lines = str(error).strip().splitlines()
            log.warning(
                "FlexAttention cannot run %d heads of %d in %s (%s: %s); going on with dense masked "
                "attention, which is slower and takes more memory",
                q.shape[0], q.shape[2], q.dtype, type(error).__name__, lines[0] if lines else "",
            )  # fmt: skip
            return self._dense(q, k, v, call)
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        return out

    def _flex(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        above_k, above_v = self.stack.view(call.layer, self.chunk.stack_depth, k)
        rows = q.shape[1]
        result = run_flex(
            q.device,
            pad(q, (0, 0, 0, self.ranges.rows - rows))[None],
            self._padded(above_k, k),
            self._padded(above_v, v),
            score_mod=None if call.softcap is None else _capped(call.softcap),
            block_mask=self.mask(call.window),
            scale=call.scaling,
            enable_gqa=len(q) != len(k),
            return_aux=AuxRequest(lse=True) if call.sinks is not None else None,
        )
        if call.sinks is None:
            out: Tensor = result[0, :, :rows]
            return out
        out, aux = result
        return apply_sinks(out[0, :, :rows].float(), aux.lse[0, :, :rows].float(), call.sinks).to(q.dtype)

    def _padded(self, above: Tensor, own: Tensor) -> Tensor:
        """[1, Hkv, S + R, D]. Zeros, not whatever was in memory: a weight of 0 times NaN is NaN."""
        heads, rows, size = own.shape
        gap = own.new_zeros((heads, self.ranges.stack - above.shape[1], size))
        rest = own.new_zeros((heads, self.ranges.rows - rows, size))
        return torch.cat([above, gap, own, rest], dim=1)[None]
