"""Norms of rows in one pass, with the sum of a residual before them; fp32 inside."""

from __future__ import annotations

from torch import Tensor

from icl.engine.native.library import ops


def rms_norm(x: Tensor, weight: Tensor | None, eps: float, offset: float = 0.0) -> Tensor:
    """x [..., d] over its root mean square, times weight [d] + offset (Gemma: 1)."""
    result: Tensor = ops().norm(x, weight, None, eps, offset, False)
    return result


def layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """LayerNorm of x [..., d]: weight and bias [d]."""
    result: Tensor = ops().norm(x, weight, bias, eps, 0.0, True)
    return result


def add_rms_norm(
    x: Tensor, residual: Tensor, weight: Tensor | None, eps: float, offset: float = 0.0
) -> tuple[Tensor, Tensor]:
    """(x + residual, its rms_norm), both [..., d]."""
    summed, normed = ops().add_norm(x, residual, weight, None, eps, offset, False)
    return summed, normed


def add_layer_norm(
    x: Tensor, residual: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """(x + residual, its layer_norm), both [..., d]."""
    summed, normed = ops().add_norm(x, residual, weight, bias, eps, 0.0, True)
    return summed, normed
