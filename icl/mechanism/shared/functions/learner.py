"""A decoder that is trained to predict f(x) from the examples before it, and its errors beside others'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from icl.mechanism.shared import intervals
from icl.mechanism.shared.functions.classes import Shape
from icl.mechanism.shared.functions.prompts import Prompts, batch, interleaved

Streams: TypeAlias = Callable[[str, str], np.random.Generator]
"""A generator of its own for a purpose and an item, as `Work.generator`."""
ROWS = 4096
"""Prompts at once where nothing is trained, divided by their points."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The data of each step. Prompts grow with the functions: from `first_dimension` coordinates on one more
    every `grow_every` steps (0: all at once), the points in proportion."""

    kind: str
    shape: Shape
    points: int
    batch_size: int
    first_dimension: int
    grow_every: int
    streams: Streams

    def active(self, step: int) -> int:
        """Coordinates that are not zero at a step."""
        dimension = self.shape.dimension
        return (
            min(dimension, self.first_dimension + step // self.grow_every) if self.grow_every else dimension
        )

    def length(self, step: int) -> int:
        """Points of a prompt at a step: 1 more than in proportion, as the last one is asked."""
        return 1 + (self.points - 1) * self.active(step) // self.shape.dimension

    def loss(self, network: Any, step: int) -> Tensor:
        """Mean squared error over all points of a batch, each predicted from those before it."""
        rng = self.streams(f"functions {self.kind}", str(step))
        x, y = batch(self.kind, rng, self.batch_size, self.length(step), self.shape, self.active(step))
        device = _device(network)
        said = network(interleaved(x, y).to(device))[:, ::2, 0]
        return nn.functional.mse_loss(said, y.to(device))


def predictions(network: nn.Module, of: Prompts) -> Tensor:
    """Values [n] at what is asked."""
    parts = torch.split(of.sequence, max(1, ROWS // (of.x.shape[1] + 1)))
    with torch.no_grad():
        return torch.cat([network(part.to(_device(network)))[:, -1, 0] for part in parts]).double().cpu()


def errors(
    predict: Callable[[Prompts], Tensor],
    of: Prompts,
    examples: Sequence[int],
    variance: float,
    resamples: int,
) -> dict[str, Any]:
    """Squared errors in units of the variance of f(x): `mean`, `low`, `high` by number of examples (95 %
    intervals over prompts), and `rows`: the mean over those numbers for each prompt, to be compared in
    pairs."""
    found = []
    for number in examples:
        part = of.of(number)
        found.append(((predict(part) - part.target.double()).square() / variance).numpy())
    kept = [intervals.mean(rows, resamples) for rows in found]
    return {
        "mean": [one.value for one in kept],
        "low": [one.low for one in kept],
        "high": [one.high for one in kept],
        "rows": np.mean(found, axis=0).tolist(),
    }


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
