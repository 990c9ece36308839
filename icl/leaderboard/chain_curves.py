"""The curves over chains as people read them: terminal, Markdown, CSV, and a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from icl.experiments.records import CellResult
from icl.leaderboard.chains import RULES, TOP_SHARE, ChainRow, chain_rows
from icl.leaderboard.columns import percent
from icl.leaderboard.formats import markdown_escape
from icl.leaderboard.intervals import Interval
from icl.leaderboard.svg import Point, curve_plot
from icl.printable import visible
from icl.types import Task


@dataclass(frozen=True, slots=True)
class ChainCurves:
    """Rows that hold chains, with accuracy at 1, 2, 4, ... of them."""

    rows: tuple[ChainRow, ...]
    resamples: int

    @property
    def footer(self) -> list[str]:
        """What the columns mean, and what must be known to read them."""
        lines = [
            "maj@N: the plurality of N chains. pass@N: any of them is right. "
            f"longest@N: the plurality of the {TOP_SHARE:.0%} with most steps (complexity). "
            + ("verifier@N: weighted by the verifier. " if self._has("weighted") else "")
            + "Accuracy in %, mean over seeds and subsets of N of the stored chains; 95 % intervals "
            "for new seeds and new queries. No model was asked."
        ]
        for row in self.rows:
            if row.adaptive and row.most > row.ns[-1]:
                lines.append(
                    f"{row.name} ({row.task}): drawn until the vote was decided, {row.ns[-1]} to {row.most} "
                    "chains a query; the first N are counted, as far as every query has them."
                )
            elif row.most > row.ns[-1]:
                lines.append(f"{row.name} ({row.task}): some queries have up to {row.most} chains.")
        return lines

    def _has(self, rule: str) -> bool:
        return any(rule in row.points for row in self.rows)

    def to_rich(self, width: int = 100) -> Table:
        """A block a row, a line a number of chains; at most 80 columns wide, names folded."""
        grid = Table.grid()
        grid.add_column(max_width=width)
        for place, rows in groupby(self.rows, key=lambda row: (row.model, row.task)):
            model, task = place
            grid.add_row(Text(visible(f"model {model} · task {task}"), style="bold"))
            for row in rows:
                grid.add_row(Text(visible(row.setting), style="cyan", overflow="fold"))
                grid.add_row(_block(row))
                grid.add_row("")
        for line in self.footer:
            grid.add_row(Text(visible(line), style="dim"))
        return grid

    def to_markdown(self) -> str:
        """A GitHub table a row under a heading of its own."""
        lines: list[str] = []
        for row in self.rows:
            lines += [f"**{markdown_escape(f'{row.model} · {row.task} · {row.setting}')}**", ""]
            lines.append("| " + " | ".join(["N", *(RULES[rule] for rule in row.points)]) + " |")
            lines.append("|" + " ---: |" * (1 + len(row.points)))
            for at, n in enumerate(row.ns):
                cells = [str(n), *(_shown(points[at]) for points in row.points.values())]
                lines.append("| " + " | ".join(markdown_escape(cell) for cell in cells) + " |")
            lines.append("")
        return "\n".join([*lines, *(f"{markdown_escape(line)}  " for line in self.footer)]) + "\n"

    def to_csv(self) -> str:
        """One line a row, rule and number of chains; fractions in full precision."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["model", "task", "setting", "rule", "n", "value", "low", "high", "seeds", "queries"])
        for row in self.rows:
            for rule, points in row.points.items():
                for n, point in zip(row.ns, points, strict=True):
                    about = (*map(visible, (row.model, row.task, row.setting)), rule, n)
                    writer.writerow([*about, point.value, point.low, point.high, row.seeds, row.queries])
        return out.getvalue()

    def to_svg(self, width: int = 760) -> dict[tuple[str, str], str]:
        """(model, task) -> a plot of maj@N and pass@N of its rows, and of their other votes."""
        drawn = {}
        for place, rows in groupby(self.rows, key=lambda row: (row.model, row.task)):
            lines: dict[str, list[Point]] = {}
            for row in rows:
                for rule, points in row.points.items():
                    if rule != "longest" or row.setting.startswith("complexity"):
                        lines[f"{row.name} {RULES[rule]}"] = _line(row.ns, points)
            title = f"accuracy (%) against the number of chains: {place[1]}, {place[0]}"
            drawn[place] = curve_plot(lines, {}, title=title, x_label="chains", width=width, doubling=True)
        return drawn


def _line(ns: Sequence[int], points: Sequence[Interval]) -> list[Point]:
    return [Point(float(n), p.value, p.low, p.high) for n, p in zip(ns, points, strict=True)]


def _block(row: ChainRow) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("N", justify="right")
    for rule in row.points:
        table.add_column(RULES[rule], justify="right", no_wrap=True)
    for at, n in enumerate(row.ns):
        table.add_row(str(n), *(Text(_shown(points[at])) for points in row.points.values()))
    return table


def _shown(point: Interval) -> str:
    return f"{percent(point.value)} [{percent(point.low)}, {percent(point.high)}]"


def chain_curves(
    results: Sequence[CellResult],
    tasks: Mapping[str, Task] | None = None,
    *,
    ns: Sequence[int] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> ChainCurves:
    """Accuracy at 1, 2, 4, ... chains, or at `ns`, of every complete row that holds several.

    `tasks` (by name) tell when two answers say the same. Raises DataError if there is no such row, or a query
    has too few chains for `ns`.
    """
    rows = chain_rows(results, tasks or {}, ns=ns, resamples=resamples, seed=seed)
    return ChainCurves(tuple(rows), resamples)
