"""Prompts x1, f(x1), x2, f(x2), ..., x: as in training, and drawn otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from icl.mechanism.shared.functions.classes import Shape, draw

NONE = "none"
SHUFFLED = "shuffled labels"
SHIFTS = ("skewed", "noisy", "orthants", SHUFFLED)


@dataclass(frozen=True, slots=True)
class Prompts:
    """n prompts. x: [n, points, dimension]. y: [n, points]. asked: [n, dimension]. target: [n], without
    noise."""

    x: Tensor
    y: Tensor
    asked: Tensor
    target: Tensor

    def of(self, examples: int) -> Prompts:
        """With the first examples alone."""
        return Prompts(self.x[:, :examples], self.y[:, :examples], self.asked, self.target)

    @property
    def sequence(self) -> Tensor:
        """[n, 2 points + 1, dimension], which ends with what is asked."""
        last = self.asked[:, None]
        if not self.x.shape[1]:
            return last
        return torch.cat([interleaved(self.x, self.y), last], dim=1)


def interleaved(x: Tensor, y: Tensor) -> Tensor:
    """[n, 2 points, dimension]: each x, then its y in the first coordinate, zeros behind."""
    values = torch.zeros_like(x)
    values[..., 0] = y
    return torch.stack([x, values], dim=2).flatten(1, 2)


def batch(
    kind: str, rng: np.random.Generator, number: int, points: int, shape: Shape, active: int
) -> tuple[Tensor, Tensor]:
    """x [number, points, dimension], zero from coordinate `active` on, and y [number, points]."""
    functions = draw(kind, rng, number, shape, active)
    x = torch.from_numpy(rng.standard_normal((number, points, shape.dimension), dtype=np.float32))
    x[..., active:] = 0
    return x, functions(x)


def prompts(
    kind: str, shift: str, rng: np.random.Generator, number: int, points: int, shape: Shape, noise: float
) -> Prompts:
    """Prompts of `points` examples from another distribution than in training.

    shift: `none`; `scale S`: all x times S; `skewed`: coordinate i has variance in proportion to 1 / i^2, in
    sum as before, the axes turned at random for each prompt; `noisy`: N(0, noise^2) is added to the labels of
    the examples; `orthants`: the examples lie in one random orthant, what is asked anywhere; `shuffled
    labels`: the examples' labels change places.
    """
    functions = draw(kind, rng, number, shape, shape.dimension)
    size = (number, points + 1, shape.dimension)
    x = torch.from_numpy(rng.standard_normal(size, dtype=np.float32))
    if shift.startswith("scale "):
        x = x * float(shift.removeprefix("scale "))
    elif shift == "skewed":
        x = _skewed(x, rng)
    elif shift == "orthants":
        signs = torch.from_numpy(rng.choice([-1, 1], size=(number, 1, shape.dimension)))
        x = torch.cat([x[:, :-1].abs() * signs, x[:, -1:]], dim=1)
    y = functions(x)
    labels = y[:, :-1]
    if shift == "noisy":
        labels = labels + noise * torch.from_numpy(rng.standard_normal(labels.shape, dtype=np.float32))
    elif shift == SHUFFLED:
        labels = labels.gather(1, torch.from_numpy(rng.random(labels.shape).argsort(axis=1)))
    return Prompts(x[:, :-1], labels, x[:, -1], y[:, -1])


def _skewed(x: Tensor, rng: np.random.Generator) -> Tensor:
    dimension = x.shape[-1]
    scales = 1 / torch.arange(1, dimension + 1)
    scales *= (dimension / scales.square().sum()).sqrt()
    turned = np.linalg.qr(rng.standard_normal((len(x), dimension, dimension)))[0].astype(np.float32)
    return (x * scales) @ torch.from_numpy(turned)
