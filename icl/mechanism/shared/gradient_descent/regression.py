"""Linear regression in context, and what well-known learners predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Regressions:
    """B tasks: N points of context each, and one more that is asked."""

    x: Tensor
    """[B, N, d]."""
    y: Tensor
    """[B, N]."""
    asked: Tensor
    """[B, d]."""
    target: Tensor
    """[B]."""


def regressions(
    draw: np.random.Generator, count: int, points: int, dimension: int, scale: float = 1.0
) -> Regressions:
    """y = w . x with w standard normal, a new one each task, and x uniform on [-scale, scale]; no noise."""
    weights = draw.standard_normal((count, dimension), dtype=np.float32)
    x = (2 * scale * draw.random((count, points + 1, dimension), dtype=np.float32) - scale).astype(np.float32)
    y = np.einsum("bnd,bd->bn", x, weights)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    return Regressions(inputs[:, :-1], targets[:, :-1], inputs[:, -1], targets[:, -1])


def descent(tasks: Regressions, step: float, initial: Tensor | None = None) -> Tensor:
    """Predictions [B] after one step of gradient descent on 1/(2N) sum_i (w . x_i - y_i)^2, from w0 =
    `initial` [d] or zero."""
    start = torch.zeros_like(tasks.asked[0]) if initial is None else initial
    missed = tasks.x @ start - tasks.y  # [B, N]
    gradient = torch.einsum("bn,bnd->bd", missed, tasks.x) / tasks.x.shape[1]
    return torch.einsum("bd,bd->b", start - step * gradient, tasks.asked)


def best_step(tasks: Regressions) -> float:
    """The step from w0 = 0 with the smallest squared error over the tasks. The error is a parabola in the
    step, so the line search is exact."""
    unit = descent(tasks, 1.0).double()
    return float((unit @ tasks.target.double()) / (unit @ unit))


def least_squares(tasks: Regressions) -> Tensor:
    """Predictions [B] of the weights of smallest norm among those that fit the context best."""
    weights = torch.linalg.lstsq(tasks.x.double(), tasks.y.double()[..., None], driver="gelsd").solution
    return torch.einsum("bd,bd->b", weights[..., 0], tasks.asked.double()).to(tasks.y.dtype)


def squared_error(predicted: Tensor, tasks: Regressions) -> float:
    """Mean over tasks of (prediction - target)^2."""
    return float((predicted - tasks.target).double().square().mean())
