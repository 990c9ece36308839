"""After how many queries training is paid for by shorter prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from icl.experiments.records import UNTUNED
from icl.leaderboard.columns import short_count
from icl.leaderboard.rows import Row

DEFINITION = (
    "Break-even: queries after which training is paid for by shorter prompts. By tokens: as a plain engine "
    "counts them, a token that is trained on as three forwarded; by seconds: as measured."
)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """A tuned row against an untuned one whose prompts are longer."""

    row: Row
    rival: Row
    by_tokens: float
    """Queries; infinite where the tuned row never becomes the cheaper one."""
    by_seconds: float

    @property
    def words(self) -> str:
        """One line."""
        training = self.row.training
        assert training is not None
        tokens = [short_count(r.tokens_per_query or 0.0) for r in (self.row, self.rival)]
        seconds = [f"{_pace(r):.3g}" for r in (self.row, self.rival)]
        return (
            f"Break-even of {self.row.name} with {self.rival.setting} ({self.row.task}): "
            f"{_queries(self.by_tokens)} by tokens ({short_count(training.work)} to train; "
            f"{tokens[0]} against {tokens[1]} a query), "
            f"{_queries(self.by_seconds)} by seconds ({training.seconds:.0f} to train; "
            f"{seconds[0]} against {seconds[1]} a query)."
        )


def break_evens(rows: Sequence[Row]) -> list[BreakEven]:
    """For every tuned row the most accurate untuned one of its model, task and, where there is one, method
    that shows demonstrations and takes more tokens a query. Rows without such a rival are left out."""
    found = []
    for row in rows:
        rival = _rival(row, rows)
        if row.training is None or rival is None:
            continue
        by_tokens = _after(row.training.work, row.tokens_per_query or 0.0, rival.tokens_per_query or 0.0)
        by_seconds = _after(row.training.seconds, _pace(row), _pace(rival))
        found.append(BreakEven(row, rival, by_tokens, by_seconds))
    return found


def _rival(row: Row, rows: Sequence[Row]) -> Row | None:
    dearer = [
        other
        for other in rows
        if other.tuning == UNTUNED
        and other.shots
        and other.value is not None
        and (other.model, other.task) == (row.model, row.task)
        and (other.tokens_per_query or 0.0) > (row.tokens_per_query or 0.0) > 0
    ]
    alike = [other for other in dearer if other.method == row.method] or dearer
    return max(alike, key=lambda r: r.value.value if r.value else 0.0, default=None)


def _pace(row: Row) -> float:
    """Seconds a query."""
    return row.usage.seconds / row.predictions if row.predictions else 0.0


def _after(once: float, mine: float, its: float) -> float:
    return math.ceil(once / (its - mine)) if its > mine else math.inf


def _queries(count: float) -> str:
    return f"after {count:,.0f} queries" if math.isfinite(count) else "never"
