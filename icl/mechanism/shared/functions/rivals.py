"""Estimators that see the examples of a prompt and nothing else: what a network that learns in context is
compared to."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from icl.mechanism.shared.functions.classes import Shape
from icl.mechanism.shared.functions.prompts import Prompts

Rival: TypeAlias = Callable[[Prompts], Tensor]
"""Values [n] at what is asked; 0 where there is no example."""
NEIGHBOURS = 3
FITTING = 300
"""Steps of the two-layer network that is fitted to the examples."""
FITTING_RATE = 0.01


def rivals(kind: str, shape: Shape, *, ridge: float, lasso: float, seed: int) -> dict[str, Rival]:
    """By name: four for every class of functions, and those that are made for `kind`."""
    found: dict[str, Rival] = {
        "least squares": least_squares,
        "ridge": lambda of: regularised(of, ridge),
        "3-NN": nearest,
        "averaging": averaging,
    }
    if kind == "sparse":
        found["lasso"] = lambda of: sparse_regression(of, lasso)
    elif kind == "network":
        found["two-layer network"] = lambda of: fitted_network(of, shape.hidden, seed)
    elif kind == "tree":
        found["greedy tree"] = lambda of: greedy_tree(of, shape.depth)
        found["greedy tree of signs"] = lambda of: greedy_tree(
            Prompts(of.x.sign(), of.y, of.asked.sign(), of.target), shape.depth
        )
    return {name: _or_zero(rival) for name, rival in found.items()}


def least_squares(of: Prompts) -> Tensor:
    """Without an intercept; of all that fit the examples exactly the one of the smallest norm."""
    weights = torch.linalg.pinv(of.x.double()) @ of.y.double()[..., None]
    return torch.einsum("nd,nd->n", of.asked.double(), weights[..., 0])


def regularised(of: Prompts, penalty: float) -> Tensor:
    """Ridge: Bayes's answer for linear functions whose labels have noise of variance `penalty`."""
    x, y = of.x.double(), of.y.double()
    square = x.mT @ x + penalty * torch.eye(x.shape[2], dtype=x.dtype)
    weights = torch.linalg.solve(square, x.mT @ y[..., None])[..., 0]
    return torch.einsum("nd,nd->n", of.asked.double(), weights)


def nearest(of: Prompts) -> Tensor:
    """The mean of the three nearest examples, of all where there are fewer."""
    distances = (of.x - of.asked[:, None]).square().sum(2)
    near = distances.topk(min(NEIGHBOURS, of.x.shape[1]), dim=1, largest=False).indices
    return of.y.gather(1, near).mean(1).double()


def averaging(of: Prompts) -> Tensor:
    """Weights that are the mean of x y: right for N(0, I) and infinitely many examples."""
    return (of.asked * (of.x * of.y[..., None]).mean(1)).sum(1).double()


def sparse_regression(of: Prompts, alpha: float) -> Tensor:
    """scikit-learn's Lasso, without an intercept."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    model = Lasso(alpha=alpha, fit_intercept=False, max_iter=5000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _each(of, lambda x, y, asked: model.fit(x, y).predict(asked))


def greedy_tree(of: Prompts, depth: int) -> Tensor:
    """scikit-learn's regression tree (CART)."""
    from sklearn.tree import DecisionTreeRegressor

    model = DecisionTreeRegressor(max_depth=depth, random_state=0)
    return _each(of, lambda x, y, asked: model.fit(x, y).predict(asked))


def fitted_network(of: Prompts, hidden: int, seed: int) -> Tensor:
    """A two-layer network of the class's own form, trained on the examples by Adam, all prompts at once."""
    rows, _, dimension = of.x.shape
    draws = torch.Generator().manual_seed(seed % 2**63)
    first = torch.randn(rows, dimension, hidden, generator=draws).requires_grad_()
    second = torch.randn(rows, hidden, generator=draws).requires_grad_()
    optimiser = torch.optim.Adam([first, second], lr=FITTING_RATE)

    def value(x: Tensor) -> Tensor:
        return torch.einsum("nph,nh->np", torch.relu(x @ first), second) * math.sqrt(2 / hidden)

    with torch.enable_grad():
        for _ in range(FITTING):
            optimiser.zero_grad()
            torch.autograd.backward((value(of.x) - of.y).square().mean(1).sum())
            optimiser.step()
    return value(of.asked[:, None])[:, 0].detach().double()


def _each(of: Prompts, fit: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Tensor:
    rows = zip(of.x.numpy(), of.y.numpy(), of.asked.numpy(), strict=True)
    return torch.tensor([float(fit(x, y, asked[None])[0]) for x, y, asked in rows], dtype=torch.float64)


def _or_zero(rival: Rival) -> Rival:
    return lambda of: rival(of) if of.x.shape[1] else torch.zeros(len(of.x), dtype=torch.float64)
