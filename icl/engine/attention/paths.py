"""Attention over a chunk in which a row's result depends on its own path and on nothing else in the batch.

Rows go to the kernel in tiles of fixed depths: depth d of a text stands in row d % TILE of its tile, before
the keys of its path in the order of their depth, up to the tile's end. So every call for a depth has the
same shape and the same order of sums, whatever texts share the chunk. It runs in fp32.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import PathStack, apply_sinks, plain_attention
from icl.engine.attention.runs import runs_with_above
from icl.engine.trie.plan import Chunk

TILE = 32


class PathChunkAttention:
    """Drop-in for DenseChunkAttention on CPU."""

    def __init__(self, chunk: Chunk, stack: PathStack, device: torch.device) -> None:
        self.chunk = chunk
        self.stack = stack
        self._push = torch.from_numpy(np.asarray(chunk.push, dtype=np.int64))
        self._runs = list(runs_with_above(chunk))
        self._masks: dict[tuple[int, int | None], Tensor] = {}

    def _seen(self, low: int, window: int | None) -> Tensor:
        """bool [TILE, low + TILE]: which keys of its path a row of the tile from depth `low` on sees."""
        if (low, window) not in self._masks:
            rows, keys = torch.arange(low, low + TILE)[:, None], torch.arange(low + TILE)[None]
            seen = keys <= rows
            self._masks[low, window] = seen if window is None else seen & (rows - keys < window)
        return self._masks[low, window]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, T, D], k, v [Hkv, T, D] -> [H, T, D]."""
        stack_k, stack_v = self.stack.view(call.layer, self.chunk.stack_depth, k)
        result = torch.empty_like(q)
        for first, last, depth, above in self._runs:
            start = depth + len(above)
            end = start + last - first
            keys, values = (
                _path(held[:, :depth], new[:, above], new[:, first:last])
                for held, new in ((stack_k, k), (stack_v, v))
            )
            for low in range(start - start % TILE, end, TILE):
                a, b = max(start, low), min(end, low + TILE)
                queries = torch.zeros((q.shape[0], TILE, q.shape[2]))
                queries[:, a - low : b - low] = q[:, first + a - start : first + b - start]
                out = self._tile(queries, keys[:, : low + TILE], values[:, : low + TILE], low, call)
                result[:, first + a - start : first + b - start] = out[:, a - low : b - low]
        self.stack.stage(call.layer, self.chunk, k, v, self._push)
        return result

    def _tile(self, q: Tensor, k: Tensor, v: Tensor, low: int, call: LayerCall) -> Tensor:
        """q [H, TILE, D] over k, v [Hkv, low + TILE, D] -> [H, TILE, D] in fp32."""
        seen = self._seen(low, call.window)
        if call.softcap is None:
            grouped = q.view(k.shape[0], -1, *q.shape[1:])
            mask = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)
            shape = (*grouped.shape[:2], *k.shape[1:])
            out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                grouped, k[:, None].expand(shape), v[:, None].expand(shape), 0.0, False,
                attn_mask=mask[None, None], scale=call.scaling,
            )  # fmt: skip
            out, lse = out.flatten(0, 1), lse.reshape(q.shape[:2])
        else:
            out, lse = plain_attention(q, k, v, seen, call)
        return out if call.sinks is None else apply_sinks(out, lse, call.sinks)


def _path(*parts: Tensor) -> Tensor:
    """[Hkv, n, D] in fp32 of the parts of a path one after another, zeros up to the end of its last tile."""
    whole = torch.cat(parts, dim=1).float()
    return torch.nn.functional.pad(whole, (0, 0, 0, -whole.shape[1] % TILE))
