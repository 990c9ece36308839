"""What training cost a row, averaged over its seeds, and what its tuner wrote down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from icl.experiments.records import CellResult
from icl.training import TrainingCost

BACKWARD = 2
"""Forwards that going back through a token costs, by the usual count of products."""


@dataclass(frozen=True, slots=True)
class Training:
    """Means over seeds. The search over learning rates and all validation are in it."""

    trainable: float
    steps: float
    tokens: float
    """Forwarded and gone back through."""
    tokens_forwarded: float
    tokens_validation: float
    """Forwarded only."""
    seconds: float
    peak_bytes: float
    notes: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    """What the tuner wrote down: key -> value as text -> the seeds that have it."""

    @classmethod
    def of(cls, results: Sequence[CellResult]) -> Training | None:
        """Of the complete cells of one row; None where none of them says what training cost."""
        told = [(r.cell.seed, found) for r in results if (found := _record(r)) is not None]
        if not told:
            return None
        means = {
            part.name: sum(_number(found.get("cost"), part.name) for _, found in told) / len(told)
            for part in fields(TrainingCost)
        }
        notes: dict[str, dict[str, tuple[int, ...]]] = {}
        for seed, found in told:
            held = found.get("notes")
            for key, value in held.items() if isinstance(held, Mapping) else ():
                if isinstance(value, str | int | float):
                    values = notes.setdefault(str(key), {})
                    text = _text(value)
                    values[text] = (*values.get(text, ()), seed)
        return cls(**means, notes=notes)

    @property
    def forwarded(self) -> float:
        """As `work`, with a prefix that a batch shares counted once."""
        return (1 + BACKWARD) * self.tokens_forwarded + self.tokens_validation

    @property
    def work(self) -> float:
        """In tokens forwarded: what is gone back through counts as three forwards, the rest as one."""
        return (1 + BACKWARD) * self.tokens + self.tokens_validation


def told(tuned: Mapping[tuple[str, str], Training]) -> list[str]:
    """What tuners wrote down, a line a task and tuning; (task, tuning) -> its training. What all tunings of a
    task have in common is said once."""
    lines = []
    for task in dict.fromkeys(task for task, _ in tuned):
        said = {name: _words(training) for (of, name), training in tuned.items() if of == task}
        common = set.intersection(*map(set, said.values())) if len(said) > 1 else set()
        shared = [words for words in next(iter(said.values())) if words in common]
        lines += [f"All tunings, {task}: {'; '.join(shared)}."] if shared else []
        for name, notes in said.items():
            own = [words for words in notes if words not in common]
            lines += [f"{name}, {task}: {'; '.join(own)}."] if own else []
    return lines


def _words(training: Training) -> list[str]:
    """The notes, each as text."""
    parts = []
    for key, values in training.notes.items():
        said = next(iter(values))
        if len(values) > 1:
            said = ", ".join(f"{text} (seed {', '.join(map(str, at))})" for text, at in values.items())
        parts.append(f"{key.replace('_', ' ')} {said}")
    return parts


def _record(result: CellResult) -> Mapping[str, Any] | None:
    found = result.notes.get("tuning")
    return found if isinstance(found, Mapping) else None


def _number(cost: Any, name: str) -> float:
    value = cost.get(name, 0) if isinstance(cost, Mapping) else 0
    good = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if good else 0.0


def _text(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
