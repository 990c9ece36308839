"""The mean of a per-answer score, for the metrics that are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from icl.types import Task


def check_pairs(answers: Sequence[str | None], golds: Sequence[str]) -> None:
    """ValueError unless there is one gold an answer, and at least one of them."""
    if len(answers) != len(golds):
        raise ValueError(f"{len(answers)} answers for {len(golds)} gold targets")
    if not golds:
        raise ValueError("a metric of no answers is undefined")


def mean_score(
    score: Callable[[str | None, str, Task], float],
    answers: Sequence[str | None],
    golds: Sequence[str],
    task: Task,
) -> float:
    """Mean of `score` over the answers; ValueError if there are none or the lengths differ."""
    check_pairs(answers, golds)
    return sum(score(a, g, task) for a, g in zip(answers, golds, strict=True)) / len(golds)
