"""A layer that learns linear regression in context by training on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from icl.errors import ModelError
from icl.mechanism.contract import Work
from icl.mechanism.shared.gradient_descent.layer import Layer, random_layer
from icl.mechanism.shared.gradient_descent.regression import regressions
from icl.tuning.shared.checkpoint import Checkpoint, parted

NAMES = ("query", "key", "value", "out")


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


def untrained(how: Training, work: Work) -> Layer:
    """What training begins with."""
    return random_layer(how.dimension, how.deviation, work.generator("linear attention weights"))


def train(how: Training, work: Work, steps: int | None = None) -> Layer:
    """The trained layer; only the first `steps` steps of the schedule where given. Goes on from
    `work.folder`.

    Raises ModelError where the loss is no longer a number.
    """
    layer = untrained(how, work)
    for weight in layer.weights:
        weight.requires_grad_(True)
    optimiser = torch.optim.Adam(layer.weights, lr=how.learning_rate)
    kept = Checkpoint(None if steps else work.folder / "layer.safetensors", repr((how, work.seed)))
    for step in range(_resumed(kept, layer, optimiser), steps or how.steps):
        tasks = regressions(
            work.generator("linear attention tasks", str(step)), how.batch_size, how.points, how.dimension
        )
        for group in optimiser.param_groups:
            group["lr"] = how.learning_rate * (1 + math.cos(math.pi * step / how.steps)) / 2
        loss = (layer.predict(tasks.x, tasks.y, tasks.asked) - tasks.target).square().mean()
        if not math.isfinite(loss.item()):
            raise ModelError(
                f"the linear layer's loss is no longer a number at step {step + 1} with learning rate "
                f"{how.learning_rate:g}; try a smaller one"
            )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if steps is None:
            work.progress(step + 1)
        if kept.due:
            _keep(kept, step + 1, layer, optimiser)
    kept.clear()
    return Layer(*(weight.detach() for weight in layer.weights))


def _keep(kept: Checkpoint, done: int, layer: Layer, optimiser: torch.optim.Optimizer) -> None:
    tensors = {f"weight.{name}": w.detach() for name, w in zip(NAMES, layer.weights, strict=True)}
    for name, weight in zip(NAMES, layer.weights, strict=True):
        tensors |= {f"{key}.{name}": value for key, value in optimiser.state[weight].items()}
    kept.write(tensors, {"done": done})


def _resumed(kept: Checkpoint, layer: Layer, optimiser: torch.optim.Optimizer) -> int:
    found = kept.read()
    if found is None:
        return 0
    tensors, plain = found
    with torch.no_grad():
        for name, weight in zip(NAMES, layer.weights, strict=True):
            weight.copy_(tensors[f"weight.{name}"])
            optimiser.state[weight] = {
                key: parted(tensors, f"{key}.")[name] for key in ("step", "exp_avg", "exp_avg_sq")
            }
    return int(plain["done"])
