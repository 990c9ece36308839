"""Rows of a projection split into heads, normed and turned to their positions in one pass; fp32 inside."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from icl.engine.native.library import ops


class Norm(Protocol):
    """A norm of heads (icl.engine.trunks.fused.blocks.Norm), its weights in fp32."""

    @property
    def weight(self) -> Tensor | None:
        """[D] factors; None: one."""
        ...

    @property
    def bias(self) -> Tensor | None:
        """[D] summands; None: zero."""
        ...

    @property
    def eps(self) -> float:
        """What is added to the variance."""
        ...

    @property
    def centred(self) -> bool:
        """Is the mean taken off first (LayerNorm)?"""
        ...


def split_heads(
    projected: Tensor,
    heads: int,
    kv_heads: int,
    angles: tuple[Tensor, Tensor] | None = None,
    q_norm: Norm | None = None,
    k_norm: Norm | None = None,
    joint: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """projected [T, (H + 2 Hkv) D] -> q [H, T, D], k and v [Hkv, T, D].

    angles: cos and sin [T, 1, R/2], of the first R numbers of a head; i is turned with R/2 + i. The norms are
    of each head by itself, or if `joint` of all heads of a row at once.
    """
    cos, sin = (None, None) if angles is None else (x.flatten(1).float() for x in angles)
    weights: tuple[Tensor | None, ...] = (None, None, None, None)
    eps, centred, norm = 0.0, False, q_norm is not None and k_norm is not None
    if q_norm is not None and k_norm is not None:
        weights = (q_norm.weight, q_norm.bias, k_norm.weight, k_norm.bias)
        eps, centred = q_norm.eps, q_norm.centred
    q, k, v = ops().heads(projected, heads, kv_heads, cos, sin, norm, *weights, eps, joint, centred)
    return q, k, v
