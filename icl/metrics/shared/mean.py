"""The mean of a per-answer score, for the metrics that are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from icl.types import Task

Score = Callable[[str | None, str, Task], float]


def check_pairs(answers: Sequence[str | None], golds: Sequence[str]) -> None:
    """ValueError unless there is one gold an answer, and at least one of them."""
    if len(answers) != len(golds):
        raise ValueError(f"{len(answers)} answers for {len(golds)} gold targets")
    if not golds:
        raise ValueError("a metric of no answers is undefined")


def once_each(score: Score) -> Score:
    """The same score for one task, worked out once for each answer and gold: a log repeats few many times."""
    known: dict[tuple[str | None, str], float] = {}

    def remembered(answer: str | None, gold: str, task: Task) -> float:
        found = known.get((answer, gold))
        if found is None:
            found = known[answer, gold] = score(answer, gold, task)
        return found

    return remembered


def mean_score(
    score: Score,
    answers: Sequence[str | None],
    golds: Sequence[str],
    task: Task,
) -> float:
    """Mean of `score` over the answers; ValueError if there are none or the lengths differ."""
    check_pairs(answers, golds)
    once = once_each(score)
    return sum(once(a, g, task) for a, g in zip(answers, golds, strict=True)) / len(golds)
