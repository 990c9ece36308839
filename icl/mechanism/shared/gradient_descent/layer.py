"""A layer of linear self-attention over (x, y) tokens, and the weights that make it a step of gradient
descent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Linear self-attention with one head, without softmax: e_q <- e_q + P sum_i V e_i (K e_i . Q e_q).

    Tokens e = (x, y) of size d + 1. Keys and values are those of the context's tokens, the query attends from
    its own. All four weights are [d + 1, d + 1]. Von Oswald et al. 2023, equation 3.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor

    @property
    def dimension(self) -> int:
        """d."""
        return int(self.query.shape[0]) - 1

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Q, K, V, P: what is trained."""
        return self.query, self.key, self.value, self.out

    @property
    def match(self) -> Tensor:
        """K^T Q [d + 1, d + 1]: how a token of the context (rows) meets the query (columns)."""
        return self.key.T @ self.query

    @property
    def write(self) -> Tensor:
        """The last row of P V [d + 1]: what a token adds to the prediction where it is met."""
        return (self.out @ self.value)[-1]

    def predict(self, x: Tensor, y: Tensor, asked: Tensor, start: Tensor | None = None) -> Tensor:
        """The y entry of the query's token after the layer.

        x [B, N, d], y [B, N], asked [B, d] -> [B]. start [B]: the y entry before it, zero if not given.
        """
        before = torch.zeros_like(asked[:, 0]) if start is None else start
        tokens = torch.cat([x, y[..., None]], dim=-1)  # [B, N, d + 1]
        probe = torch.cat([asked, before[:, None]], dim=-1)  # [B, d + 1]
        scores = torch.einsum("bni,bi->bn", tokens @ self.key.T, probe @ self.query.T)
        added = torch.einsum("bn,bni->bi", scores, tokens @ self.value.T) @ self.out.T
        return (probe + added)[:, -1]

    def sensitivity(self, x: Tensor, y: Tensor) -> Tensor:
        """How the prediction changes with the query's x: [B, d]. The layer is linear in it, so the query
        itself does not matter. x [B, N, d], y [B, N]; the query's y entry starts at zero."""
        tokens = torch.cat([x, y[..., None]], dim=-1)
        return torch.einsum("bn,bni->bi", tokens @ self.write, tokens @ self.match)[:, : self.dimension]


def descent_layer(dimension: int, points: int, step: float, initial: Tensor | None = None) -> Layer:
    """The construction: Q = K = diag(I, 0), V takes y - w0 . x, P = step / N on the y entry.

    With the query's y entry at w0 . x the layer predicts what w1 predicts, where w1 is w0 after one step of
    gradient descent on 1/(2N) sum_i (w . x_i - y_i)^2. initial: w0 [d], zero if not given. The paper has the
    signs of V and of the read-out turned round. Von Oswald et al. 2023, proposition 1.
    """
    size = dimension + 1
    weights = torch.zeros(4, size, size, dtype=torch.float32 if initial is None else initial.dtype)
    picked = torch.eye(size, dtype=weights.dtype)
    picked[-1, -1] = 0
    value, out = weights[2], weights[3]
    value[-1, -1] = 1
    if initial is not None:
        value[-1, :-1] = -initial
    out[-1, -1] = step / points
    return Layer(picked, picked.clone(), value, out)


def layer_of(match: Tensor, write: Tensor) -> Layer:
    """A layer with these products: the prediction depends on nothing else. match [d + 1, d + 1], write [d +
    1]."""
    unit = torch.eye(len(write), dtype=write.dtype)
    value = torch.zeros_like(unit)
    value[-1] = write
    return Layer(match, unit, value, unit)


def random_layer(dimension: int, scale: float, draw: np.random.Generator) -> Layer:
    """Normal weights with deviation `scale`."""
    size = dimension + 1
    made = [torch.from_numpy(draw.normal(0, scale, (size, size)).astype(np.float32)) for _ in range(4)]
    return Layer(*made)
