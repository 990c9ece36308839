"""Accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from icl.metrics.shared.mean import mean_score
from icl.prompts.answers import equivalent
from icl.protocols import metrics
from icl.types import Task


@metrics.register("accuracy")
class Accuracy:
    """Share of answers that say the same as the gold: numbers by value, strings up to case and quotes."""

    def score(self, answer: str | None, gold: str, task: Task) -> float:
        """1.0 or 0.0; an unparsed answer is wrong."""
        return float(equivalent(answer, gold, task))

    def aggregate(self, answers: Sequence[str | None], golds: Sequence[str], task: Task) -> float:
        """Mean score; ValueError without answers."""
        return mean_score(self.score, answers, golds, task)
