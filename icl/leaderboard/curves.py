"""Metric against shots, or against any number of a row, one line for each way to get there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from icl.errors import ConfigError
from icl.leaderboard.rows import Row
from icl.leaderboard.svg import Point, curve_plot
from icl.leaderboard.table import Leaderboard
from icl.printable import visible

BLOCKS = "▁▂▃▄▅▆▇█"
NAMED = ("model", "task", "selector", "shots", "orderer", "method", "tuning")


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines of points by name; `levels` are rows without a place on the axis (zero-shot)."""

    axis: str
    metric: str
    lines: Mapping[str, tuple[Point, ...]]
    levels: Mapping[str, float]

    def to_svg(self, width: int = 760) -> str:
        """Inline SVG; "" where there is no line."""
        title = f"{self.metric} (%) against {self.axis}"
        return curve_plot(self.lines, self.levels, title=title, x_label=self.axis, width=width)

    def to_rich(self) -> Table:
        """A sparkline a line on one common scale, with its first and last point."""
        values = [p.value for line in self.lines.values() for p in line] + list(self.levels.values())
        table = Table(title=f"{self.metric} in % against {self.axis}", box=None, title_justify="left")
        for header in ("", self.axis, "", "from", "to"):
            table.add_column(header, justify="right" if header in ("from", "to") else "left")
        for name, line in self.lines.items():
            across = f"{line[0].x:g}" if len(line) == 1 else f"{line[0].x:g}..{line[-1].x:g}"
            spark = sparkline([p.value for p in line], min(values), max(values))
            ends = (f"{100 * line[0].value:.1f}", f"{100 * line[-1].value:.1f}")
            table.add_row(Text(visible(name)), across, spark, *ends)
        for name, level in self.levels.items():
            spark = sparkline([level], min(values), max(values))
            table.add_row(Text(visible(name), style="dim"), "", spark, f"{100 * level:.1f}", "")
        return table


def sparkline(values: Sequence[float], low: float | None = None, high: float | None = None) -> str:
    """One block a value, between `low` and `high` (else their own range)."""
    low = min(values) if low is None else low
    high = max(values) if high is None else high
    top = len(BLOCKS) - 1
    if high <= low:
        return BLOCKS[top // 2] * len(values)
    return "".join(BLOCKS[round(top * (min(max(v, low), high) - low) / (high - low))] for v in values)


def curves(board: Leaderboard, axis: str = "shots", at: Callable[[Row], float] | None = None) -> Curves:
    """Lines of the board's rows over `axis`: a numeric field of `Row`, or whatever `at` gives.

    Rows that agree in every other setting form a line, named by what differs between lines.
    Raises ConfigError where the axis is no number of a row.
    """
    place = at or _numeric(axis)
    rows = [row for row in board.rows if row.value is not None]
    level_rows = [row for row in rows if axis == "shots" and row.is_bare]
    line_rows = [row for row in rows if row not in level_rows]
    name_of = _namer(rows, axis)
    lines: dict[str, list[Point]] = {}
    for row in line_rows:
        if row.value is not None:
            point = Point(float(place(row)), row.value.value, row.value.low, row.value.high)
            lines.setdefault(name_of(row), []).append(point)
    ordered = {name: tuple(sorted(line, key=lambda p: p.x)) for name, line in lines.items()}
    levels = {name_of(row): row.value.value for row in level_rows if row.value is not None}
    return Curves(axis, board.metric, ordered, levels)


def _numeric(axis: str) -> Callable[[Row], float]:
    def place(row: Row) -> float:
        value: Any = getattr(row, axis, None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(
                f"axis {axis!r} is no number of a leaderboard row. Allowed: shots, seconds, "
                "tokens_per_query, sharing, seeds, queries"
            )
        return float(value)

    return place


def _namer(rows: Sequence[Row], axis: str) -> Callable[[Row], str]:
    differing = [
        key
        for key in NAMED
        if key not in ("selector", axis)
        and len({str(getattr(r, key)) for r in rows if key == "tuning" or not r.is_bare}) > 1
    ]

    def name(row: Row) -> str:
        extras = [k for k in differing if not row.is_bare or k in ("model", "task", "tuning")]
        return " ".join([row.selector, *(str(getattr(row, key)) for key in extras)])

    return name
