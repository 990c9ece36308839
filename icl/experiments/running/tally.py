"""What is kept of the predictions of a cell once they are written, for its metrics and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from icl.types import NO_USAGE, Prediction, Usage


@dataclass(slots=True)
class Tally:
    """Some sixteen bytes a prediction, where answers and gold targets are labels: a grid has millions.

    shots: demonstrations that were asked for.
    """

    shots: int = 0
    answers: list[str | None] = field(default_factory=list)
    golds: list[str] = field(default_factory=list)
    correct: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    thinking_tokens: int = 0
    dropped: int = 0
    """Demonstrations that did not fit."""
    fewer: int = 0
    """Queries for which fewer demonstrations were chosen than asked for."""
    usage: Usage = NO_USAGE

    @classmethod
    def of(cls, predictions: Iterable[Prediction], shots: int = 0) -> Self:
        """Of all of them."""
        tally = cls(shots)
        for prediction in predictions:
            tally.add(prediction)
        return tally

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, prediction: Prediction) -> None:
        """One more, in the order of the test set."""
        self.answers.append(prediction.answer)
        self.golds.append(prediction.gold)
        self.correct += prediction.correct
        self.flags.update(prediction.flags)
        self.thinking_tokens += int(prediction.details.get("thinking_tokens") or 0)
        self.dropped += len(prediction.dropped)
        self.fewer += len(prediction.demonstrations) + len(prediction.dropped) < self.shots
        if prediction.usage is not NO_USAGE:
            self.usage += prediction.usage
