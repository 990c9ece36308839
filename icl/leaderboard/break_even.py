"""After how many queries training is paid for by shorter prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icl.experiments.records import UNTUNED
from icl.leaderboard.rows import Row, place

DEFINITION = (
    "Break-even: queries after which training is paid for by shorter prompts: by tokens as a plain engine "
    "counts them, one that is trained on as three forwarded / by seconds as measured."
)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """A tuned row against an untuned one whose prompts are longer."""

    row: Row
    rival: Row
    by_tokens: float
    """Queries; infinite where the tuned row never becomes the cheaper one."""
    by_seconds: float


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


def sentences(found: Sequence[BreakEven], name: Callable[[Row], str]) -> list[str]:
    """The definition, then a line a task and untuned row; none where nothing was found."""
    lines: dict[tuple[str, str], list[str]] = {}
    rows = [one.row for one in found]
    for one in found:
        counts = f"{name(one.row)} {_queries(one.by_tokens)} / {_queries(one.by_seconds)}"
        lines.setdefault((place(one.row, rows), name(one.rival)), []).append(counts)
    told = [
        f"Break-even with {rival} ({where}): {'; '.join(each)}." for (where, rival), each in lines.items()
    ]
    return [DEFINITION, *told] if told else []


def _queries(count: float) -> str:
    return f"{count:,.0f}" if math.isfinite(count) else "never"
