"""Where attention and feed-forward parts of a decoder's blocks begin and end, found by how they are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from icl.errors import ConfigError
from icl.training import Network

Part = Literal["attention", "mlp"]
ATTENTION = ("attn", "attention")
MLP = ("mlp", "feed_forward", "feedforward", "ffn", "moe")
PAIRS = (("fc1", "fc2"), ("fc_in", "fc_out"))
"""Feed-forward layers that stand in the block itself (OPT)."""


@dataclass(frozen=True, slots=True)
class SubLayer:
    """Its input is that of `first`, its output, before the residual is added, that of `last`."""

    block: nn.Module
    part: Part
    first: nn.Module
    last: nn.Module


def sublayers(network: Network, part: Part, method: str) -> list[SubLayer]:
    """One a block, in order. ConfigError where a block has none or several."""
    return [_of(block, part, network, method) for block in _blocks(network, method)]


def _blocks(network: Network, method: str) -> list[nn.Module]:
    count = network.config.get_text_config().num_hidden_layers
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and _named(module[0], ATTENTION):
            return list(module)
    raise ConfigError(
        f"tuner {method!r} does not fit {type(network).__name__}: no list of {count} blocks with attention"
    )


def _of(block: nn.Module, part: Part, network: Network, method: str) -> SubLayer:
    found = _named(block, ATTENTION if part == "attention" else MLP)
    if len(found) == 1:
        return SubLayer(block, part, found[0], found[0])
    children = dict(block.named_children())
    for first, last in PAIRS:
        if part == "mlp" and not found and first in children and last in children:
            return SubLayer(block, part, children[first], children[last])
    what = "attention" if part == "attention" else "feed-forward layer"
    raise ConfigError(
        f"tuner {method!r} does not fit {type(network).__name__}: {len(found)} parts of a "
        f"{type(block).__name__} look like its {what}, not one"
    )


def _named(block: nn.Module, words: tuple[str, ...]) -> list[nn.Module]:
    """Children with weights to multiply by whose names hold one of the words; norms have none."""
    return [
        child
        for name, child in block.named_children()
        if any(word in name.lower() for word in words) and any(p.ndim > 1 for p in child.parameters())
    ]
