"""A decode step in one call of the native kernels: all layers, no Python between them. See EagerStep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from icl.engine.decoding.memory import Tails
from icl.engine.decoding.steps import Spans
from icl.engine.native.decoder import PLACES, StepDecoder, covers
from icl.engine.trunks.contract import Trunk
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.fused.blocks import Block, Feed
from icl.engine.trunks.packed import ACTIVATIONS


def native_step(trunk: Trunk) -> NativeStep | None:
    """Steps of a trunk as the kernels run them; None where it has a block that they do not know."""
    if not isinstance(trunk, FusedTrunk):
        return None
    dtype = trunk.decoder.embeddings.dtype
    for block in trunk.blocks:
        shape = (block.heads, block.kv_heads, head_size(block))
        if not isinstance(block.feed, Feed) or not covers(*shape, dtype):
            return None
    return NativeStep(trunk)


def head_size(block: Block) -> int:
    """D: numbers of a head."""
    return block.qkv.out_features // (block.heads + 2 * block.kv_heads)


class NativeStep:
    """See StepRunner. What it computes is EagerStep's, but for rounding."""

    def __init__(self, trunk: FusedTrunk) -> None:
        self.trunk = trunk
        self._decoder = StepDecoder()
        for block in trunk.blocks:
            _add(self._decoder, block, trunk.decoder.embeddings.dtype)
        final = trunk.decoder.final_norm
        if final is not None:
            self._decoder.set_norm(len(PLACES), final.weight, final.bias, final.eps, final.centred)

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], positions: Sequence[int], tails: Tails, spans: Spans) -> Tensor:
        """See StepRunner."""
        tails.reserve(max(tails.lengths) + 1)
        places = torch.tensor(positions)
        slots = torch.tensor(tails.rows), torch.tensor(tails.lengths), places

        def run(hidden: Tensor, angles: list[tuple[Tensor, Tensor]]) -> Tensor:
            held = self._tails(tails, hidden)
            return self._decoder.step(hidden, angles, held, tails.positions, slots, spans)

        return self.trunk.logits(self.trunk.step(torch.tensor(tokens), places, run))

    def _tails(self, tails: Tails, like: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of every layer."""
        pairs = [
            tails.layer(layer, like.new_empty((block.kv_heads, 0, head_size(block))))
            for layer, block in enumerate(self.trunk.blocks)
        ]
        return [keys for keys, _ in pairs], [values for _, values in pairs]


def _add(decoder: StepDecoder, block: Block, dtype: torch.dtype) -> None:
    feed = block.feed
    assert isinstance(feed, Feed)  # see native_step
    decoder.add_block(
        (block.heads, block.kv_heads, head_size(block)), dtype, block.call,
        [block.qkv, block.out, feed.up, feed.down, *([] if feed.gate is None else [feed.gate])],
        ACTIVATIONS[feed.activation], block.rotary, joint=block.joint_norm, parallel=block.parallel,
    )  # fmt: skip
    for at, place in enumerate(PLACES):
        norm = getattr(block, place)
        if norm is not None:
            of_heads = place in ("q_norm", "k_norm")
            weight, bias = (
                None if w is None else w.float() if of_heads else w for w in (norm.weight, norm.bias)
            )
            decoder.set_norm(at, weight, bias, norm.eps, norm.centred)
