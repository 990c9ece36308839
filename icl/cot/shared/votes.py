"""Voting over the answers of chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icl.prompts.answers import equivalent
from icl.types import Task

TIE = 1e-12
"""Two totals nearer than this are one number but for rounding."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The outcome of a vote."""

    answer: str | None
    """None: no chain was parsed."""
    chain: int | None
    """Index of the first chain that gave the answer."""
    totals: dict[str, float]
    """Answer -> sum of weights, in the order in which answers were first given."""
    tied: bool = False

    @property
    def agreement(self) -> float:
        """The winner's share of all weight; 0 where there is none."""
        whole = sum(self.totals.values())
        return self.totals[self.answer] / whole if self.answer is not None and whole > 0 else 0.0


def unify(answers: Sequence[str | None], same: Callable[[str, str], bool] = str.__eq__) -> list[str | None]:
    """Answers that say the same, as the form that was given first ("YZLE", "yzle" -> "YZLE" twice)."""
    known: list[str] = []
    unified: list[str | None] = []
    for answer in answers:
        if answer is None:
            unified.append(None)
            continue
        found = next((other for other in known if other == answer), None)
        if found is None:
            found = next((other for other in known if same(answer, other) or same(other, answer)), answer)
        if found is answer:
            known.append(answer)
        unified.append(found)
    return unified


def same_answer(task: Task) -> Callable[[str, str], bool]:
    """Whether two answers count as one in this task."""
    return lambda a, b: equivalent(a, b, task)


def vote(
    answers: Sequence[str | None],
    weights: Sequence[float] | None = None,
    *,
    same: Callable[[str, str], bool] = str.__eq__,
) -> Vote:
    """Plurality of the answers, or the largest sum of `weights` (>= 0).

    None (unparsed) does not vote. A tie goes to the answer that reached the winning total first,
    chains counted in order (Wang et al. 2023, Self-Consistency).
    """
    given = [1.0] * len(answers) if weights is None else [float(w) for w in weights]
    if len(given) != len(answers):
        raise ValueError(f"{len(answers)} answers with {len(given)} weights")
    unified = unify(answers, same)
    totals: dict[str, float] = {}
    for answer, weight in zip(unified, given, strict=True):
        if answer is not None:
            totals[answer] = totals.get(answer, 0.0) + weight
    if not totals:
        return Vote(None, None, {})
    best = max(totals.values())
    running = dict.fromkeys(totals, 0.0)
    winner = ""
    for answer, weight in zip(unified, given, strict=True):
        if answer is None:
            continue
        running[answer] += weight
        if running[answer] >= best - TIE:
            winner = answer
            break
    tied = sum(total >= best - TIE for total in totals.values()) > 1
    return Vote(winner, unified.index(winner), totals, tied)


def longest(steps: Sequence[int], top: int) -> list[int]:
    """Indices, ascending, of the `top` chains with most steps; of equals those drawn first."""
    ranked = sorted(range(len(steps)), key=lambda i: (-steps[i], i))
    return sorted(ranked[:top])
