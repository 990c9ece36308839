"""Macro-averaged F1."""

from __future__ import annotations

from collections.abc import Sequence

from icl.metrics.shared.mean import check_pairs
from icl.prompts.answers import equivalent
from icl.protocols import metrics
from icl.types import Task


@metrics.register("macro_f1")
class MacroF1:
    """Unweighted mean of the labels' F1, so that a rare label counts as much as a frequent one.

    An unparsed answer is a miss of its gold label and a hit of none. Labels that occur neither
    among the golds nor among the answers have no F1 and are left out, as in scikit-learn.
    """

    def score(self, answer: str | None, gold: str, task: Task) -> float:
        """Whether one answer is right; F1 itself exists only over many."""
        return float(equivalent(answer, gold, task))

    def aggregate(self, answers: Sequence[str | None], golds: Sequence[str], task: Task) -> float:
        """F1 over the task's labels (over the golds' own values where the task lists none)."""
        check_pairs(answers, golds)
        labels = task.labels or tuple(dict.fromkeys([*golds, *(a for a in answers if a is not None)]))
        values = [f1 for label in labels if (f1 := _f1(label, answers, golds)) is not None]
        return sum(values) / len(values) if values else 0.0


def _f1(label: str, answers: Sequence[str | None], golds: Sequence[str]) -> float | None:
    name = label.strip().casefold()
    said = [a is not None and a.strip().casefold() == name for a in answers]
    true = [g.strip().casefold() == name for g in golds]
    hits = sum(s and t for s, t in zip(said, true, strict=True))
    return 2 * hits / (sum(said) + sum(true)) if any(said) or any(true) else None
