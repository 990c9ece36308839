"""From the rows of one projection to the heads of queries, keys and values that attention reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from icl.engine.native import library
from icl.engine.native.heads import split_heads
from icl.engine.trunks.fused.blocks import Block, Norm
from icl.engine.trunks.fused.norms import normed
from icl.engine.trunks.fused.rotary import rotate

Angles = tuple[Tensor, Tensor]
"""cos and sin [T, 1, R/2]."""


def split(block: Block, projected: Tensor, angles: Angles | None) -> tuple[Tensor, Tensor, Tensor]:
    """projected [T, (H + 2 Hkv) D] -> q [H, T, D], k and v [Hkv, T, D]; q and k normed and turned."""
    if library.available():
        return split_heads(
            projected, block.heads, block.kv_heads, angles, *head_norms(block), block.joint_norm
        )
    heads, turned = block.heads, block.heads + block.kv_heads
    count = turned + block.kv_heads
    rows = projected.view(len(projected), count, projected.shape[1] // count)
    qk = rows[:, :turned]
    if block.q_norm is not None:
        normed_q = _normed(qk[:, :heads], block.q_norm, block.joint_norm)
        qk = torch.cat([normed_q, _normed(qk[:, heads:], block.k_norm, block.joint_norm)], dim=1)
    qk = qk.transpose(0, 1).contiguous() if angles is None else rotate(qk, *angles)
    return qk[:heads], qk[heads:], rows[:, turned:].transpose(0, 1)


def head_norms(block: Block) -> tuple[Norm | None, Norm | None]:
    """q_norm and k_norm as the kernels have them: weights in fp32."""
    return _wide(block.q_norm), _wide(block.k_norm)


def _wide(norm: Norm | None) -> Norm | None:
    if norm is None or norm.weight is None or norm.weight.dtype == torch.float32:
        return norm
    bias: Any = None if norm.bias is None else norm.bias.float()
    return Norm(norm.weight.float(), norm.eps, bias, norm.centred)


def _normed(x: Tensor, norm: Norm | None, joint: bool) -> Tensor:
    """x [T, h, D], each head by itself or all of a row at once."""
    return normed(x.flatten(1), norm).view_as(x) if joint else normed(x, norm)
