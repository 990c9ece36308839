"""How long, how fast and on how much at once: what every tuner may be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from icl.components import check_choice, check_flag, check_number
from icl.tuning.shared.objective import LOSSES, Loss
from icl.tuning.shared.rows import ENDS, End

Schedule = Literal["constant", "linear", "cosine"]
SCHEDULES = ("constant", "linear", "cosine")
MOST_ROWS = 1_000_000
"""Of a step: their list alone has to fit into memory."""


@dataclass(kw_only=True)
class TrainingSettings:
    """Keywords of every tuner.

    steps: optimiser steps. batch_size: rows a step. learning_rate: a number, or a list of which the one
    that does best on the validation split is kept. schedule: after `warmup` steps the rate stays
    ("constant") or falls to zero ("linear", "cosine"). weight_decay: of AdamW. clip: largest norm of the
    gradient, 0 for none. loss: "per_token" or "per_example", see `NegativeLogLikelihood`. end: whether the
    end of an answer is learned, see `task_rows`. validation: examples of the pool that are kept from
    training where something is chosen by them: with several learning rates, or with `evaluate_every`.
    evaluate_every: steps between looks at them, the best weights are kept; 0 looks at the end only.
    patience: looks without gain after which training stops, 0 for never. max_tokens: longer texts are left
    out; 0 is the context length. rows_at_once: tokens forwarded together before gradients are added up; no
    result depends on it beyond rounding. refit: whether the chosen learning rate is trained once more on
    the whole pool, validation rows too.
    """

    steps: int = 64
    batch_size: int = 8
    learning_rate: float | Sequence[float] = 1e-4
    schedule: Schedule = "linear"
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    loss: Loss = "per_token"
    end: End = "auto"
    validation: int = 16
    evaluate_every: int = 0
    patience: int = 0
    max_tokens: int = 0
    rows_at_once: int = 2048
    refit: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "validation", "rows_at_once"):
            check_number(name, getattr(self, name), low=1, whole=True)
        check_number("batch_size", self.batch_size, low=1, high=MOST_ROWS, whole=True)
        for name in ("warmup", "evaluate_every", "patience", "max_tokens"):
            check_number(name, getattr(self, name), low=0, whole=True)
        for name in ("weight_decay", "clip"):
            check_number(name, getattr(self, name), low=0)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("loss", self.loss, LOSSES)
        check_choice("end", self.end, ENDS)
        check_flag("refit", self.refit)
        for rate in self.rates:
            check_number("learning_rate", rate, low=0)
            if rate == 0:
                raise ValueError("learning_rate is 0; allowed: a number > 0, or a list of some")
        if not self.rates or len(set(self.rates)) != len(self.rates):
            raise ValueError(
                f"learning_rate is {self.learning_rate!r}; allowed: a number > 0, or a list of some"
            )
        if self.patience and not self.evaluate_every:
            raise ValueError("patience counts looks at the validation split: it needs evaluate_every")
        if self.warmup >= self.steps:
            raise ValueError(f"warmup is {self.warmup}; allowed: less than steps ({self.steps})")

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to try."""
        given = self.learning_rate
        return tuple(given) if isinstance(given, Sequence) else (given,)

    @property
    def chooses(self) -> bool:
        """Whether a validation split is needed."""
        return len(self.rates) > 1 or self.evaluate_every > 0

    def rate_at(self, step: int, rate: float) -> float:
        """The learning rate of step 0 .. steps-1."""
        if step < self.warmup:
            return rate * (step + 1) / (self.warmup + 1)
        if self.schedule == "constant":
            return rate
        left = (self.steps - step) / (self.steps - self.warmup)
        return rate * (left if self.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left)))
