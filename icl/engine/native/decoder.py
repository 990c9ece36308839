"""A fused trunk's decoder as one object of the kernels, and a step of decoding through all its layers.

The description is that of icl.engine.trunks.fused.blocks; it is handed over tensor by tensor, so that this
module needs nothing of the trunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from icl.engine.native.attention import SIZES
from icl.engine.native.library import available

NUMBERS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
"""Formats as the kernels count them (src/types.h)."""
PLACES = ("norm_in", "norm_out", "norm_mid", "norm_end", "q_norm", "k_norm")
"""Norms of a block as the kernels count them (NormOf in src/decoder.h); after them the final one."""


class Linear(Protocol):
    """A packed product (icl.engine.trunks.packed.PackedLinear)."""

    weight: Tensor
    bias: Tensor | None
    wide: bool
    panels: bool
    out_features: int


def covers(heads: int, kv_heads: int, size: int, dtype: torch.dtype) -> bool:
    """Is there a step for heads of this shape and precision?"""
    return available() and dtype in NUMBERS and size in SIZES and heads % kv_heads == 0


class StepDecoder:
    """Blocks that were added one by one, and a step through them."""

    def __init__(self) -> None:
        self._inner: Any = torch.classes.icl_native.Decoder()
        self._nodes: dict[int, tuple[object, Any]] = {}

    def add_block(
        self,
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        call: Any,
        products: Sequence[Linear],
        activation: tuple[str, str],
        rotary: int | None,
        *,
        joint: bool,
        parallel: bool,
    ) -> None:
        """shape: H, Hkv, D. call: a LayerCall. products: qkv, out, up, down and perhaps a gate."""
        turned = -1 if rotary is None else rotary
        heads = [*shape, NUMBERS[dtype], call.window or 0, turned, int(joint), int(parallel)]
        self._inner.add_block(
            heads, [call.scaling, call.softcap or 0.0], call.sinks, [p.bias for p in products],
            [p.weight for p in products], [int(p.wide) for p in products],
            [p.out_features if p.panels else 0 for p in products], *activation,
        )  # fmt: skip

    def set_norm(
        self, place: int, weight: Tensor | None, bias: Tensor | None, eps: float, centred: bool
    ) -> None:
        """A norm of the last block, by PLACES, or after those the final one."""
        self._inner.set_norm(place, weight, bias, eps, centred)

    def step(
        self,
        hidden: Tensor,
        angles: Sequence[tuple[Tensor, Tensor]],
        tails: tuple[Sequence[Tensor], Sequence[Tensor]],
        places: Tensor,
        slots: tuple[Tensor, Tensor, Tensor],
        spans: Sequence[tuple[Any, int, int]],
    ) -> Tensor:
        """Rows [B, d] as they meet the first block -> after the final norm.

        angles: cos and sin [B, R/2] in fp32. tails: keys and values by layer, at whose ends the new ones are
        put, and their positions into `places`. slots: row, tokens before this one and position of each.
        spans: (shared node, first slot, last slot).
        """
        nodes = [self._node(shared) for shared, _, _ in spans]
        self._nodes = {id(shared): (shared, node) for (shared, _, _), node in zip(spans, nodes, strict=True)}
        bounds = [n for s, low, high in spans for n in (s.node.length, s.node.depth, low, high)]
        result: Tensor = self._inner.step(
            hidden, [cos for cos, _ in angles], [sin for _, sin in angles], list(tails[0]), list(tails[1]),
            places, *slots, nodes, bounds,
        )  # fmt: skip
        return result

    def _node(self, shared: Any) -> Any:
        """The kernels' handle of a shared node; kept while steps read it."""
        known = self._nodes.get(id(shared))
        if known is not None:
            return known[1]
        layers = range(len(shared.keys))
        return torch.classes.icl_native.Node(
            [shared.keys[i] for i in layers], [shared.values[i] for i in layers]
        )
