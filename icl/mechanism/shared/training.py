"""Training of small networks from nothing: the data of a step depend on the step alone, so that a killed run
goes on bit for bit as if it had not been."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from icl.components import check_choice, check_number
from icl.errors import ConfigError, ModelError
from icl.tuning.shared.checkpoint import Checkpoint, parted

Forward: TypeAlias = Callable[[Tensor], Tensor]
Loss: TypeAlias = Callable[[Any, int], Tensor]
"""Of a network at a step (from 0), on data that it draws from a stream of that step."""
Look: TypeAlias = Callable[[Any, int], Mapping[str, Any]]
"""What is measured of a network after so many steps, plain JSON. It must change nothing."""
SCHEDULES = ("constant", "linear", "cosine", "inverse_root")
PACED = 6
"""Steps that are timed, spread over the run; one before them is thrown away."""
PATIENCE = 10.0
"""Seconds after which no further step is timed."""
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained: AdamW (Adam where weight_decay is 0), warmup and a schedule of the rate.

    After `warmup` steps of linear rise the rate stays (constant), falls to zero (linear, cosine) or falls as
    sqrt(warmup / step) (inverse_root). clip: the largest norm of the gradient, 0: any. ValueError otherwise.
    """

    steps: int
    learning_rate: float
    warmup: int = 0
    schedule: Literal["constant", "linear", "cosine", "inverse_root"] = "constant"
    weight_decay: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        check_number("training_steps", self.steps, low=1, whole=True)
        check_number("learning_rate", self.learning_rate, low=0)
        check_number("warmup", self.warmup, low=0, whole=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("clip", self.clip, low=0)
        check_choice("schedule", self.schedule, SCHEDULES)

    def rate(self, step: int) -> float:
        """Of a step, from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "inverse_root":
            return self.learning_rate * math.sqrt(max(self.warmup, 1) / (step + 1))
        left = 1 - (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (
            left if self.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
        )


@dataclass(slots=True)
class Course:
    """How a training went, plain JSON."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    """(steps done, mean loss since the one before)."""
    looks: list[dict[str, Any]] = field(default_factory=list)
    """What was measured, with `step`: steps done."""


def train(
    network: nn.Module,
    loss: Loss,
    schedule: Schedule,
    *,
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
    looks: Sequence[int] = (),
    look: Look | None = None,
    compiled: bool = False,
    points: int = 100,
) -> Course:
    """Trains in place. Goes on from the checkpoint, which is left until the caller clears it.

    looks: after how many steps (0: before the first) `look` is called. points: of the curve of losses.
    compiled: by torch.compile, `network` itself is what is looked at.
    Raises ModelError where the loss is no longer a number, ConfigError where there is no compiler.
    """
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    course, done, sums = _resumed(checkpoint, network, optimiser)
    forward = compile_network(network) if compiled else network
    window, asked = max(1, schedule.steps // points), frozenset(looks)
    if done == 0 and not course.looks and 0 in asked:
        course.looks.append(_looked(network, look, 0))
    if done:
        progress(done)
    for step in range(done, schedule.steps):
        sums.append(_step(network, forward, loss, schedule, optimiser, step))
        if (step + 1) % window == 0 or step + 1 == schedule.steps:
            course.losses.append((step + 1, math.fsum(sums) / len(sums)))
            sums.clear()
        if step + 1 in asked:
            course.looks.append(_looked(network, look, step + 1))
        if checkpoint.due or step + 1 == schedule.steps:
            _keep(checkpoint, network, optimiser, course, step + 1, sums)
        progress(step + 1)
    network.eval()
    return course


def compile_network(network: N) -> N:
    """By torch.compile, for any length of sequence. ConfigError where its compiler is absent.

    Off in every preset: results then differ in the last digits from those of a machine without it.
    """
    cpu = next(network.parameters()).device.type == "cpu"
    if cpu and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        raise ConfigError("compiled is true, and no C++ compiler is found; leave it out, or install g++")
    return torch.compile(network, dynamic=True)  # type: ignore[return-value]


def seconds_a_step(network: nn.Module, loss: Loss, schedule: Schedule, compiled: bool = False) -> float:
    """Measured on steps spread over the whole run, as their data may grow: the middle first, then both ends,
    as many as PATIENCE allows. The network is changed."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate)
    forward = compile_network(network) if compiled else network
    spread = {round(at * (schedule.steps - 1) / PACED) for at in range(PACED + 1)}
    order = sorted(spread, key=lambda step: abs(step - (schedule.steps - 1) / 2))
    for step in order if compiled else order[:1]:
        _step(network, forward, loss, schedule, optimiser, step)
    taken: list[float] = []
    for step in order:
        if sum(taken) > PATIENCE:
            break
        began = time.perf_counter()
        _step(network, forward, loss, schedule, optimiser, step)
        taken.append(time.perf_counter() - began)
    return sum(taken) / len(taken)


def _step(
    network: nn.Module, forward: nn.Module, loss: Loss, schedule: Schedule,
    optimiser: torch.optim.Optimizer, step: int,
) -> float:  # fmt: skip
    network.train()
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(step)
    found = loss(forward, step)
    value = found.item()
    if not math.isfinite(value):
        raise ModelError(
            f"the loss is no longer a number at step {step + 1} with learning rate "
            f"{schedule.learning_rate:g}; try a smaller one, or a longer warmup"
        )
    optimiser.zero_grad()
    torch.autograd.backward(found)
    if schedule.clip:
        nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
    optimiser.step()
    return value


def _looked(network: nn.Module, look: Look | None, done: int) -> dict[str, Any]:
    assert look is not None, "looks without a look"
    network.eval()
    with torch.no_grad():
        return {"step": done, **look(network, done)}


def _keep(
    checkpoint: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer, course: Course, done: int,
    sums: list[float],
) -> None:  # fmt: skip
    tensors = {f"weights/{name}": value.cpu() for name, value in network.state_dict().items()}
    names = [name for name, _ in network.named_parameters()]
    for at, held in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{names[at]}/{key}": value.cpu() for key, value in held.items()}
    checkpoint.write(tensors, {"done": done, "losses": course.losses, "looks": course.looks, "sums": sums})


def _resumed(
    checkpoint: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[Course, int, list[float]]:
    held = checkpoint.read()
    if held is None:
        return Course(), 0, []
    tensors, plain = held
    network.load_state_dict(parted(tensors, "weights/"))
    state = {
        at: parted(tensors, f"optimiser/{name}/") for at, (name, _) in enumerate(network.named_parameters())
    }
    state = {at: value for at, value in state.items() if value}
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    course = Course([(int(at), value) for at, value in plain["losses"]], plain["looks"])
    return course, int(plain["done"]), list(plain["sums"])
