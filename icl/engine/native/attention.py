"""Attention as one call a layer: keys read where they lie, softmax online in fp32."""

from __future__ import annotations

import torch
from torch import Tensor

from icl.engine.native.library import ops

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SIZES = range(8, 257, 8)
"""Head sizes that the kernels are written for."""


def tree_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    stack: tuple[Tensor, Tensor],
    plan: tuple[Tensor, Tensor, Tensor, int],
    *,
    scaling: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """q [H, T, D], k, v [Hkv, T, D] -> [H, T, D], a view of memory laid out [T, H, D].

    stack: keys and values [Hkv, P, D] above the chunk. plan: int32 keys [3, P + T] (first row that sees
    each key, the row past the last, its position), spans [n, 3] (first key, how many, whether all rows of
    the block see them), starts [blocks + 1] (first span of each block), rows of a block.
    """
    keys, spans, starts, block_rows = plan
    if sinks is not None:
        sinks = sinks.float().contiguous()
    result: Tensor = ops().tree_attention(
        q, k, v, *stack, keys, spans, starts, block_rows, scaling, window or 0, softcap or 0.0, sinks
    )
    return result


def step_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tails: tuple[Tensor, Tensor],
    slots: Tensor,
    places: Tensor,
    nodes: tuple[list[Tensor], list[Tensor], Tensor],
    *,
    scaling: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """q [H, B, D], k, v [Hkv, B, D] of the newest token of each slot -> [H, B, D], laid out [B, H, D].

    tails: keys and values [R, Hkv, capacity, D], to which k and v are written. slots: int64 [3, B], row of
    each slot's tail, tokens in it before this one, position of this one. places: int64 [R, capacity],
    positions of what the tails hold, this token's included. nodes: keys and values [Hkv, n, D] of each
    shared node, and int64 [nodes, 3]: its depth, the first slot below it, the slot past the last.
    """
    keys, values, spans = nodes
    if sinks is not None:
        sinks = sinks.float().contiguous()
    result: Tensor = ops().step_attention(
        q, k, v, *tails, slots, places, keys, values, spans, scaling, window or 0, softcap or 0.0, sinks
    )
    return result
