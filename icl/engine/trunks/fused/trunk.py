"""The trunk on packed weights: one loop over the blocks of any family that has a reader, on CPU.

Used only after the load-time probe has seen it agree with the model's own plain forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from icl.engine.attention.contract import Attend
from icl.engine.trunks import packed
from icl.engine.trunks.fused.blocks import Block, Decoder, Experts, Norm
from icl.engine.trunks.fused.families import FAMILIES, read
from icl.engine.trunks.fused.feeding import inner, mixed
from icl.engine.trunks.fused.heads import Angles, split
from icl.engine.trunks.fused.norms import normed
from icl.engine.trunks.fused.reading import Unread, foreign, pack, unpacked
from icl.engine.trunks.hooked import after_head, head_product
from icl.engine.trunks.packed import PackedLinear

NAME = "fused trie engine"


def supports(model: Any) -> bool:
    """Is this a family, device and precision that the fused decoder covers, of plain layers?"""
    return against(model) == ""


def against(model: Any) -> str:
    """Why packed weights cannot stand for the model's own layers; "" if they may. Packs nothing."""
    config = model.config.get_text_config()
    weights = next(model.parameters())
    if config.model_type not in FAMILIES:
        return f"no reader for its family, {config.model_type}; there are {', '.join(sorted(FAMILIES))}"
    if weights.device.type != "cpu":
        return f"its weights are on {weights.device}, and packed ones are for the CPU"
    if not packed.available(weights.dtype):
        return f"this build of torch cannot pack {weights.dtype} for this processor"
    reason = foreign(model)
    if reason:
        return reason
    try:
        read(model, unpacked)
    except Unread as error:
        return str(error)
    return ""


class FusedTrunk:
    """Same surface as HookedTrunk: forward, logits, device."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config.get_text_config()
        self.device = torch.device("cpu")
        self.decoder: Decoder = read(model, pack)
        self.blocks = self.decoder.blocks
        self.plain_head: nn.Module = model.get_output_embeddings()
        self.head = PackedLinear(self.plain_head.weight, self.plain_head.bias)

    @property
    def engine(self) -> str:
        """See Trunk."""
        return f"{NAME}, {self.head.dtype} multiplied in fp32" if self.head.wide else NAME

    @torch.inference_mode()
    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden states [T, d] after the final norm of rows tokens[T] at positions[T]."""
        hidden = embedded(self.decoder, tokens, positions)
        angles = [rotary(hidden, positions) for rotary in self.decoder.rotaries]
        for block in self.blocks:
            found = attended(block, normed(hidden, block.norm_in), angles, attend)
            summed = joined(block.out, found, block.norm_out, hidden)
            x = normed(hidden if block.parallel else summed, block.norm_mid)
            hidden = fed(block, x, summed)
        return normed(hidden, self.decoder.final_norm)

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, positions: Tensor, run: Callable[[Tensor, list[Angles]], Tensor]
    ) -> Tensor:
        """As `forward`, by `run`: from the rows that meet the first block, and cos and sin [T, R/2] in fp32
        of each rotation, to those after the final norm."""
        hidden = embedded(self.decoder, tokens, positions)
        angles = [rotary(hidden, positions) for rotary in self.decoder.rotaries]
        return run(hidden, [(cos.flatten(1).float(), sin.flatten(1).float()) for cos, sin in angles])

    @torch.inference_mode()
    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """[n, V] fp32 logits of hidden states [n, d]; [n, m] of the tokens [m] only."""
        if tokens is not None:
            return after_head(self.config, head_product(self.plain_head, hidden, tokens).float())
        return after_head(self.config, self.head(hidden.contiguous()).float())


def embedded(decoder: Decoder, tokens: Tensor, positions: Tensor) -> Tensor:
    """[T, d]: the rows that meet the first block."""
    hidden = embedding(tokens, decoder.embeddings)
    if decoder.scale is not None:
        hidden = hidden * decoder.scale
    return hidden if decoder.places is None else hidden + embedding(positions, decoder.places)


def attended(block: Block, x: Tensor, angles: list[Angles], attend: Attend) -> Tensor:
    """x [T, d] -> what the heads found [T, H D]."""
    turned = None if block.rotary is None else angles[block.rotary]
    out = attend(*split(block, block.qkv(x), turned), block.call)  # [H, T, D]
    return out.transpose(0, 1).reshape(len(x), -1)


def fed(block: Block, x: Tensor, residual: Tensor) -> Tensor:
    """x [T, d] fed forward and added to `residual`."""
    if isinstance(block.feed, Experts):
        return residual + normed(mixed(block.feed, x), block.norm_end)
    return joined(block.feed.down, inner(block.feed, x), block.norm_end, residual)


def joined(linear: PackedLinear, x: Tensor, norm: Norm | None, residual: Tensor) -> Tensor:
    """The product of x, normed where it is to be, and the rows that it is added to."""
    return linear.plus(x, residual) if norm is None else normed(linear(x), norm).add_(residual)
