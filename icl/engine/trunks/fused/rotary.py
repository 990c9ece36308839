"""Rotary positions (Su et al. 2021, RoFormer), as transformers pairs the values of a head: halves."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [T, h, D], cos and sin [T, 1, R/2] -> [h, T, D] contiguous, its first R values turned.

    cos and sin in fp32 beside an x of half precision: turned in fp32, rounded once.
    """
    if cos.dtype != x.dtype:
        return rotate(x.to(cos.dtype), cos, sin).to(x.dtype)
    rows, heads, size = x.shape
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    out = x.new_empty((heads, rows, size))
    turned = out.transpose(0, 1)
    low, high = turned[..., :half], turned[..., half : 2 * half]
    torch.mul(first, cos, out=low)
    low.addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=high)
    high.addcmul_(first, sin)
    if rest.shape[-1]:
        turned[..., 2 * half :] = rest
    return out
