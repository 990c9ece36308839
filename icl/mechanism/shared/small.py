"""Small decoders that a study trains from nothing: blocks of GPT-2, over vectors or over tokens.

Pre-norm, causal, learned positions, GELU, no dropout. Weights begin as GPT-2's: normal, of deviation .02 if
nothing is said, those that write into the residual stream divided by sqrt(2 layers); they depend on the seed
alone. With .02 a network far narrower than GPT-2 stays long where it begins: 1 / sqrt(width) suits it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from icl.components import check_numbers

DEVIATION = 0.02
"""Of the weights at the beginning."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a decoder. ValueError where the heads do not divide the width."""

    layers: int
    width: int
    heads: int
    positions: int
    """The longest sequence."""

    def __post_init__(self) -> None:
        check_numbers(low=1, whole=True, layers=self.layers, width=self.width, heads=self.heads)
        check_numbers(low=1, whole=True, positions=self.positions)
        if self.width % self.heads:
            raise ValueError(
                f"width is {self.width} and heads {self.heads}; allowed: a width that heads divide"
            )


class Block(nn.Module):
    """Attention, then an MLP of four times the width, each added to what comes in [n, length, width]."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.before_attention = nn.LayerNorm(size.width)
        self.attention = nn.Linear(size.width, 3 * size.width)
        self.attended = nn.Linear(size.width, size.width)
        self.before_mlp = nn.LayerNorm(size.width)
        self.up = nn.Linear(size.width, 4 * size.width)
        self.down = nn.Linear(4 * size.width, size.width)

    def forward(self, stream: Tensor) -> Tensor:
        """[n, length, width] to as much."""
        rows, length, width = stream.shape
        parts = self.attention(self.before_attention(stream)).view(rows, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each [n, heads, length, width / heads]
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        stream = stream + self.attended(mixed.transpose(1, 2).reshape(rows, length, width))
        return cast(
            Tensor,
            stream + self.down(nn.functional.gelu(self.up(self.before_mlp(stream)), approximate="tanh")),
        )


class Trunk(nn.Module):
    """Positions, blocks and the last norm."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.positions = nn.Embedding(size.positions, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Embeddings [n, length, width] to what is known after each [n, length, width]."""
        stream = inputs + self.positions.weight[: inputs.shape[1]]
        for block in self.blocks:
            stream = block(stream)
        return cast(Tensor, self.norm(stream))


class VectorDecoder(nn.Module):
    """Vectors [n, length, taken] to vectors [n, length, given]."""

    def __init__(self, size: Size, taken: int, given: int, seed: int, deviation: float = DEVIATION) -> None:
        super().__init__()
        self.read_in = nn.Linear(taken, size.width)
        self.trunk = Trunk(size)
        self.read_out = nn.Linear(size.width, given)
        begin(self, seed, deviation)

    def forward(self, vectors: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.read_out(self.trunk(self.read_in(vectors))))


class TokenDecoder(nn.Module):
    """Tokens [n, length] to logits of the next [n, length, vocabulary], with one matrix for both ends."""

    def __init__(self, size: Size, vocabulary: int, seed: int, deviation: float = DEVIATION) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, size.width)
        self.trunk = Trunk(size)
        begin(self, seed, deviation)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.trunk(self.tokens(tokens)) @ self.tokens.weight.T)


def begin(network: nn.Module, seed: int, deviation: float = DEVIATION) -> None:
    """First weights, in place, from the seed alone. It wants the network on the CPU."""
    draws = torch.Generator().manual_seed(seed % 2**63)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(0.0, deviation, generator=draws)
            if isinstance(module, nn.Linear):
                module.bias.zero_()
        for trunk in (module for module in network.modules() if isinstance(module, Trunk)):
            for block in trunk.blocks:
                for layer in (cast(Block, block).attended, cast(Block, block).down):
                    layer.weight /= math.sqrt(2 * len(trunk.blocks))
