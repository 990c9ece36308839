"""Which layers of a decoder a method adapts."""

from __future__ import annotations

from typing import Literal

from torch import nn

from icl.errors import ConfigError
from icl.training import Network

Layers = Literal["all", "attention", "mlp"]
LAYERS = ("all", "attention", "mlp")


def targets(network: Network, layers: Layers, method: str) -> list[str]:
    """Full names of the linear layers (also GPT-2's transposed ones) of the decoder's blocks, sorted.

    A layer belongs to the attention if a part of its name says so ("self_attn", "attn", "attention"), else to
    the feed-forward part. ConfigError where there is none.
    """
    found = [
        name
        for name, module in network.named_modules()
        if linear(module) and any(part.isdigit() for part in name.split(".")) and _wanted(name, layers)
    ]
    if not found:
        raise ConfigError(
            f"tuner {method!r}: {type(network).__name__} has no linear layers that could be adapted "
            f"(layers: {layers})"
        )
    return sorted(found)


def linear(module: nn.Module) -> bool:
    """Is it y = x W (+ b), in either of the two ways to store W?"""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


def _wanted(name: str, layers: Layers) -> bool:
    attention = any("attn" in part or "attention" in part for part in name.split("."))
    return layers == "all" or attention == (layers == "attention")
