"""Classes of random functions of x ~ N(0, I), as in Garg et al. 2022, What Can Transformers Learn In-
Context?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

KINDS = ("linear", "sparse", "network", "tree")
Functions: TypeAlias = Callable[[Tensor], Tensor]
"""n functions at once: x [n, points, dimension] to values [n, points]."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the classes are made of. sparsity: weights of a sparse function that are not zero. hidden: of a
    two-layer network. depth: of a tree."""

    dimension: int
    sparsity: int
    hidden: int
    depth: int

    def variance(self, kind: str, scale: float = 1.0) -> float:
        """Of f(x), over functions and x of which each coordinate has variance scale^2."""
        if kind == "tree":
            return 1.0
        return scale**2 * (self.sparsity if kind == "sparse" else self.dimension)


def draw(kind: str, rng: np.random.Generator, number: int, shape: Shape, active: int) -> Functions:
    """`number` functions that depend on the first `active` coordinates.

    linear: w x, w ~ N(0, I). sparse: the same with `sparsity` weights that are not zero. network:
    sqrt(2 / hidden) sum_j a_j relu(w_j x), a and w normal. tree: complete, of `depth` questions whether one
    coordinate is above zero, a normal value in each leaf.
    """
    if kind == "linear":
        return _Linear(_normal(rng, number, active))
    if kind == "sparse":
        return _Linear(_sparse(rng, number, active, min(shape.sparsity, active)))
    if kind == "network":
        return _Network(_normal(rng, number, active, shape.hidden), _normal(rng, number, shape.hidden))
    questions = torch.from_numpy(rng.integers(active, size=(number, 2**shape.depth - 1)))
    return _Tree(questions, _normal(rng, number, 2**shape.depth))


def _normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def _sparse(rng: np.random.Generator, number: int, active: int, sparsity: int) -> Tensor:
    ranks = rng.random((number, active)).argsort(axis=1).argsort(axis=1)
    return _normal(rng, number, active) * torch.from_numpy(ranks < sparsity)


@dataclass(frozen=True, slots=True)
class _Linear:
    weights: Tensor
    """[n, active]"""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.einsum("npd,nd->np", x[..., : self.weights.shape[1]], self.weights)


@dataclass(frozen=True, slots=True)
class _Network:
    first: Tensor
    """[n, active, hidden]"""
    second: Tensor
    """[n, hidden]"""

    def __call__(self, x: Tensor) -> Tensor:
        hidden = torch.relu(x[..., : self.first.shape[1]] @ self.first)
        return torch.einsum("nph,nh->np", hidden, self.second) * math.sqrt(2 / self.second.shape[1])


@dataclass(frozen=True, slots=True)
class _Tree:
    questions: Tensor
    """The coordinate of each inner node [n, 2^depth - 1], from the root down, children of i at 2i+1 and
    2i+2."""
    leaves: Tensor
    """[n, 2^depth]"""

    def __call__(self, x: Tensor) -> Tensor:
        node = torch.zeros(x.shape[:2], dtype=torch.int64)
        inner = self.questions.shape[1]
        for _ in range(inner.bit_length()):
            asked = self.questions.gather(1, node)
            above = x.gather(2, asked[..., None])[..., 0] > 0
            node = 2 * node + 1 + above.long()
        return self.leaves.gather(1, node - inner)
