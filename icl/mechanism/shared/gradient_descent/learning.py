"""A layer that learns linear regression in context by training on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from icl.mechanism.contract import Work
from icl.mechanism.shared import training
from icl.mechanism.shared.gradient_descent.layer import Layer, random_layer
from icl.mechanism.shared.gradient_descent.regression import regressions
from icl.mechanism.shared.training import Schedule
from icl.tuning.shared.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Training:
    """How a layer is trained: Adam, a learning rate that falls to zero by a cosine, fresh tasks each step."""

    dimension: int
    points: int
    steps: int
    batch_size: int
    learning_rate: float
    deviation: float
    """Of the normal weights that it begins with."""

    @property
    def schedule(self) -> Schedule:
        """For the trainer."""
        return Schedule(self.steps, self.learning_rate, schedule="cosine")


class Trained(nn.Module):
    """A layer whose weights are parameters."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.query, self.key = nn.Parameter(layer.query), nn.Parameter(layer.key)
        self.value, self.out = nn.Parameter(layer.value), nn.Parameter(layer.out)

    def forward(self, x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        """As `Layer.predict`."""
        return Layer(self.query, self.key, self.value, self.out).predict(x, y, asked)

    @property
    def layer(self) -> Layer:
        """As it is now, without gradients."""
        return Layer(*(w.detach().clone() for w in (self.query, self.key, self.value, self.out)))


def untrained(how: Training, work: Work) -> Layer:
    """What training begins with."""
    return random_layer(how.dimension, how.deviation, work.generator("linear attention weights"))


def train(how: Training, work: Work) -> Layer:
    """The trained layer. Goes on from `work.folder`. Raises ModelError where the loss is no longer a
    number."""
    network = Trained(untrained(how, work))
    kept = Checkpoint(work.folder / "layer.safetensors", repr((how, work.seed)))
    training.train(network, _Loss(how, work), how.schedule, checkpoint=kept, progress=work.progress)
    kept.clear()
    return network.layer


def seconds_a_step(how: Training, work: Work) -> float:
    """Measured."""
    return training.seconds_a_step(Trained(untrained(how, work)), _Loss(how, work), how.schedule)


@dataclass(frozen=True, slots=True)
class _Loss:
    """The squared error on the tasks of a step."""

    how: Training
    work: Work

    def __call__(self, network: Any, step: int) -> Tensor:
        draw = self.work.generator("linear attention tasks", str(step))
        tasks = regressions(draw, self.how.batch_size, self.how.points, self.how.dimension)
        return torch.mean((network(tasks.x, tasks.y, tasks.asked) - tasks.target) ** 2)
