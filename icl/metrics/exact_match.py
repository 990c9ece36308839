"""Exact match of normalised strings."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from icl.metrics.shared.mean import mean_score
from icl.prompts.answers import equivalent
from icl.protocols import metrics
from icl.types import Task


def normalise(text: str) -> str:
    """Unicode NFKC, case folded, runs of white space as one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@metrics.register("exact_match")
class ExactMatch:
    """Share of answers equal to the gold letter for letter, up to case, width and white space.

    Numbers match by value, as everyone counts on arithmetic tasks: "72" and "72.0" are one number.
    """

    def score(self, answer: str | None, gold: str, task: Task) -> float:
        """1.0 or 0.0; an unparsed answer is wrong."""
        if task.kind == "numeric":
            return float(equivalent(answer, gold, task))
        return float(answer is not None and normalise(answer) == normalise(gold))

    def aggregate(self, answers: Sequence[str | None], golds: Sequence[str], task: Task) -> float:
        """Mean score; ValueError without answers."""
        return mean_score(self.score, answers, golds, task)
