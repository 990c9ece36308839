"""How far metrics, a judge among them, say the same of the answers of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from icl.errors import ConfigError
from icl.experiments.folder.verdicts import DETAIL
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.measures import check_judged, score_by_judge
from icl.metrics.shared.agreement import Estimate, kappa, share, table
from icl.protocols import metrics
from icl.types import Prediction, Task

WORDS = ("right", "wrong")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two metrics on the answers of one row, seeds together."""

    cell: Cell
    """The row; its seed stands for all."""
    one: str
    two: str
    right: tuple[float, float]
    """Share that each calls right (a score of 0.5 or more)."""
    same: Estimate
    """Share on which they say the same."""
    kappa: Estimate | None
    """The same beyond chance; None where both say one thing throughout."""
    only: tuple[int, int]
    """Answers that only the one, only the other calls right."""
    predictions: int
    """With a score by both."""


def agreements(
    results: Sequence[CellResult], tasks: Mapping[str, Task], names: Sequence[str]
) -> list[Agreement]:
    """Every pair of these metrics on every row; only complete cells count. "judge" is the run's judge.

    Raises ConfigError for fewer than two metrics, for an unknown one, and where cells are not judged.
    """
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            f"agreement is between different metrics, two or more: {', '.join(names) or 'none given'}"
        )
    whole = [result for result in results if result.complete]
    if DETAIL in names:
        check_judged(whole)
    scores = {name: _score(name, tasks) for name in names}
    rows: dict[object, list[tuple[Cell, Prediction]]] = {}
    for result in whole:
        rows.setdefault(result.cell.row, []).extend((result.cell, p) for p in result.predictions)
    return [
        found
        for held in rows.values()
        for one, two in combinations(names, 2)
        if (found := _pair(held, one, two, scores)) is not None
    ]


def _score(name: str, tasks: Mapping[str, Task]) -> Callable[[Cell, Prediction], float]:
    if name == DETAIL:
        return lambda cell, p: score_by_judge(p)
    metric = metrics.create(name)

    def score(cell: Cell, p: Prediction) -> float:
        golds = p.details.get("golds") or [p.gold]
        return max(metric.score(p.answer, gold, tasks[cell.task]) for gold in golds)

    return score


def _pair(
    held: Sequence[tuple[Cell, Prediction]],
    one: str,
    two: str,
    scores: Mapping[str, Callable[[Cell, Prediction], float]],
) -> Agreement | None:
    said = [(scores[one](cell, p), scores[two](cell, p)) for cell, p in held]
    both = [(a >= 0.5, b >= 0.5) for a, b in said if a == a and b == b]  # NaN: not graded
    same = share(sum(a == b for a, b in both), len(both))
    if same is None:
        return None
    words = [(WORDS[not a], WORDS[not b]) for a, b in both]
    counts = table([a for a, _ in words], [b for _, b in words], WORDS)
    return Agreement(
        held[0][0],
        one,
        two,
        (sum(a for a, _ in both) / len(both), sum(b for _, b in both) / len(both)),
        same,
        kappa(counts),
        (int(counts[0, 1]), int(counts[1, 0])),
        len(both),
    )
