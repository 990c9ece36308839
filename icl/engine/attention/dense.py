"""Exact attention over a chunk of a trie: which keys a row sees, and the plain way to use them.

Shapes: q [H, T, D]; k, v [Hkv, T, D]; the stack (keys and values of the path above the chunk)
[Hkv, P, D]. Heads are grouped: H = Hkv * G, query head h reads key head h // G.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.trie.plan import Chunk

log = logging.getLogger("icl")


def visibility(chunk: Chunk, window: int | None = None) -> Tensor:
    """bool [T, P + T]: row sees key; the first P keys are the stack's, key p at depth p.

    Inside the chunk row i sees row j iff j <= i < end[j].
    """
    rows, stack = chunk.rows, chunk.stack_depth
    seen = np.zeros((rows, stack + rows), dtype=bool)
    low = 0
    for high, depth in chunk.stairs:
        seen[low:high, :depth] = True
        low = high
    i = np.arange(rows)[:, None]
    j = np.arange(rows)[None, :]
    seen[:, stack:] = (j <= i) & (i < chunk.end[None, :])
    if window is not None:
        key_positions = np.concatenate([np.arange(stack), chunk.positions])
        seen &= chunk.positions[:, None] - key_positions[None, :] < window
    return torch.from_numpy(seen)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, call: LayerCall) -> tuple[Tensor, Tensor]:
    """softmax(q k^T) v by its definition, in fp32, with softcap; sinks are not applied.

    Returns out [H, T, D] in fp32 and the log-sum-exp [H, T]; a row that sees no key has 0 and -inf.
    """
    kv_heads, group = k.shape[0], q.shape[0] // k.shape[0]
    queries = q.float().reshape(kv_heads, group * q.shape[1], q.shape[2])
    scores = torch.bmm(queries, k.float().transpose(1, 2)).mul_(call.scaling)
    scores = scores.view(q.shape[0], q.shape[1], k.shape[1])
    if call.softcap is not None:
        scores = torch.tanh(scores / call.softcap) * call.softcap
    scores.masked_fill_(~seen, -torch.inf)
    lse = torch.logsumexp(scores, dim=-1)
    weights = torch.exp(scores - lse.clamp(min=torch.finfo(torch.float32).min)[..., None])
    weights = weights.view(kv_heads, group * q.shape[1], k.shape[1])
    return torch.bmm(weights, v.float()).view(q.shape[0], q.shape[1], -1), lse


@functools.cache
def has_kernel() -> bool:
    """Has this torch the blockwise kernel for CPU, a private operation? Said once where it is missing."""
    found = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
    if not found:
        log.warning("this build of torch has no blockwise attention on CPU: going on with dense masks")
    return found


def fast_attention(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, call: LayerCall
) -> tuple[Tensor, Tensor]:
    """As `plain_attention`, for a batch: q [B, H, T, D], k and v [B, Hkv, n, D], seen [B, n] or None
    (all of it, for every row of the item): out [B, H, T, D] and lse [B, H, T], both fp32.

    On CPU torch's own blockwise kernel, which returns the log-sum-exp, where the call allows it.
    """
    batch, heads, rows, size = q.shape
    kv_heads, group = k.shape[1], heads // k.shape[1]
    folded = q.reshape(batch, kv_heads, group * rows, size)  # query heads of a key head below one another
    if call.softcap is None and q.device.type == "cpu" and has_kernel():
        mask = None
        if seen is not None:
            mask = torch.zeros(seen.shape, dtype=q.dtype).masked_fill_(~seen, -torch.inf)[:, None, None]
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            folded, k, v, 0.0, False, attn_mask=mask, scale=call.scaling
        )
        out, lse = out.float(), lse.view(batch, kv_heads, group * rows)
    else:
        scores = torch.matmul(folded.float(), k.float().transpose(2, 3)) * call.scaling
        if call.softcap is not None:
            scores = torch.tanh(scores / call.softcap) * call.softcap
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None, None], -torch.inf)
        lse = torch.logsumexp(scores, dim=-1)
        safe = lse.clamp(min=torch.finfo(torch.float32).min)
        out = torch.matmul(torch.exp(scores - safe[..., None]), v.float())
    return out.reshape(batch, heads, rows, size), lse.reshape(batch, heads, rows)


def apply_sinks(out: Tensor, lse: Tensor, sinks: Tensor) -> Tensor:
    """A sink takes part in the softmax's sum and adds no value: out *= exp(lse - lse')."""
    total = torch.logaddexp(lse, sinks.float()[:, None])
    return out * torch.exp(lse - total)[..., None]


class PathStack:
    """Keys and values of the path from the root to the next chunk, by depth, for every layer."""

    def __init__(self, depth: int) -> None:
        self.capacity = depth
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self._staged: dict[int, tuple[int, Tensor, Tensor]] = {}

    def begin(self, keys: Mapping[int, Tensor], values: Mapping[int, Tensor]) -> None:
        """Puts what is given at the root [Hkv, n, D], by layer: the first row to be run is row n."""
        for layer in keys:
            held_k, held_v = self.view(layer, self.capacity, keys[layer])
            held_k[:, : keys[layer].shape[1]] = keys[layer]
            held_v[:, : keys[layer].shape[1]] = values[layer]

    def view(self, layer: int, depth: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """[Hkv, depth, D] keys and values of `layer`; made on first use in the shape of `like`."""
        if layer not in self.keys:
            heads, _, size = like.shape
            self.keys[layer] = like.new_empty((heads, self.capacity, size))
            self.values[layer] = like.new_empty((heads, self.capacity, size))
        return self.keys[layer][:, :depth], self.values[layer][:, :depth]

    def stage(self, layer: int, chunk: Chunk, k: Tensor, v: Tensor, rows: Tensor) -> None:
        """Keeps the chunk's rows that are ancestors of the next chunk, to go on top of what is kept."""
        if len(rows):
            self._staged[layer] = (chunk.keep_depth, k[:, rows], v[:, rows])

    def commit(self) -> None:
        """Moves on to the next chunk: only once all layers have run, so that a chunk can be retried."""
        for layer, (low, k, v) in self._staged.items():
            self.keys[layer][:, low : low + k.shape[1]] = k
            self.values[layer][:, low : low + v.shape[1]] = v
        self._staged.clear()

    def discard(self) -> None:
        """Forgets what a chunk that did not run to its end has staged."""
        self._staged.clear()

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(t.nbytes for t in (*self.keys.values(), *self.values.values()))


class DenseChunkAttention:
    """One masked product over stack and chunk: T x (P + T), the reference for every faster way.

    Covers windows, softcap and sinks. Called once a layer by the trunk.
    """

    def __init__(self, chunk: Chunk, stack: PathStack, device: torch.device) -> None:
        self.chunk = chunk
        self.stack = stack
        self.device = device
        self._seen: dict[int | None, Tensor] = {}
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64)).to(device)

    def seen(self, window: int | None) -> Tensor:
        """The visibility mask for this window, made once a chunk."""
        if window not in self._seen:
            self._seen[window] = visibility(self.chunk, window).to(self.device)
        return self._seen[window]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """out [H, T, D] in q's dtype; what the next chunk needs is staged on the stack."""
        above_k, above_v = self.stack.view(call.layer, self.chunk.stack_depth, k)
        keys, values = torch.cat([above_k, k], dim=1), torch.cat([above_v, v], dim=1)
        out, lse = plain_attention(q, keys, values, self.seen(call.window), call)
        if call.sinks is not None:
            out = apply_sinks(out, lse, call.sinks)
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        return out.to(q.dtype)


AttendFn = Any
"""(q, k, v, LayerCall) -> out, as `DenseChunkAttention.__call__`."""
