"""Norms over rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from icl.engine.native import library
from icl.engine.native import norms as native
from icl.engine.trunks.fused.blocks import Norm


def normed(x: Tensor, norm: Norm | None) -> Tensor:
    """x [..., d] as `norm` has it; x itself where there is none."""
    if norm is None:
        return x
    if library.available():
        if norm.centred:
            return native.layer_norm(x, norm.weight, norm.bias, norm.eps)
        return native.rms_norm(x, norm.weight, norm.eps)
    if norm.centred:
        return layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)
    return rms_norm(x, norm.weight, norm.eps)


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """x [..., d] over its root mean square, times weight [d]; inside in fp32. See Norm for its precision.

    On CPU torch's own is a chain of elementwise kernels, and took twice as long where it was measured.
    """
    wide = x.float()
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    result: Tensor = x * scale if wide is x else wide.mul_(scale)
    if weight is None:
        return result.to(x.dtype)
    if weight.dtype == x.dtype:
        return result.to(x.dtype).mul_(weight)
    return result.mul_(weight).to(x.dtype)
