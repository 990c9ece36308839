"""The overall order of settings as a table, in every notation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from icl.errors import DataError
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.analysis import values_of
from icl.leaderboard.columns import percent
from icl.leaderboard.grid import LEADS, Grid, OfGrid
from icl.leaderboard.layout import group_cells
from icl.leaderboard.measures import measure
from icl.leaderboard.names import Names
from icl.leaderboard.overall import Strength, strengths
from icl.leaderboard.results import without_copies
from icl.printable import visible, visible_json
from icl.protocols import Metric
from icl.types import Task


@dataclass(frozen=True, slots=True)
class Overall(OfGrid):
    """Settings from the strongest on, over `tasks`."""

    settings: tuple[Strength, ...]
    metric: str
    tasks: tuple[str, ...]
    one_seed: bool
    incomplete: int
    """Rows that were left out because no cell of theirs is complete."""

    @property
    def footer(self) -> list[str]:
        """What the numbers are, and for what they hold."""
        seeds = "new queries with this seed" if self.one_seed else "new seeds and queries"
        lines = [
            "strength: Bradley-Terry, log-odds of being the one that is right where one of two is; mean 0. "
            f"95 % intervals for {seeds} of these tasks, which weigh the same.",
            "wins: chance in % against the others on average.",
            f"{LEADS} the strongest, or not distinguishable from it (Bonferroni over the others at 0.05).",
        ]
        if any(one.tasks < len(self.tasks) for one in self.settings):
            lines.append("Not every row is of all tasks: missing ones are bridged by rows that met both.")
        if self.incomplete:
            lines.append(f"Incomplete rows left out: {self.incomplete}.")
        return lines

    @property
    def grid(self) -> Grid:
        """As texts."""
        several = len({one.cell.model for one in self.settings}) > 1
        return self._grid(lambda cell: f"{cell.model}: " * several + cell.setting, [])

    @property
    def short_grid(self) -> Grid:
        """Settings by what tells them apart."""
        names = Names(one.cell for one in self.settings)
        return self._grid(names.of, [f"Names in full: {'; '.join(names.legend)}."] if names.legend else [])

    def _grid(self, name: Callable[[Cell], str], more: Sequence[str]) -> Grid:
        lines = [
            [
                name(one.cell),
                f"{one.strength.value:+.2f}" + LEADS * one.leads,
                f"[{one.strength.low:.2f}, {one.strength.high:.2f}]",
                percent(one.wins),
                str(one.tasks),
            ]
            for one in self.settings
        ]
        tasks = "1 task" if len(self.tasks) == 1 else f"{len(self.tasks)} tasks"
        title = f"Overall · {self.metric} · {tasks}: {', '.join(self.tasks)}"
        return Grid(title, ("row", "strength", "95 % CI", "wins", "tasks"), 1, lines, [*self.footer, *more])

    @property
    def records(self) -> list[dict[str, object]]:
        """One mapping a setting, in full precision."""
        return [
            {
                **{name: value for name, value in one.cell.plain.items() if name not in ("task", "seed")},
                "tuning": one.cell.tuning,
                "strength": one.strength.value,
                "low": one.strength.low,
                "high": one.strength.high,
                "wins": one.wins,
                "tasks": one.tasks,
                "leads": int(one.leads),
                "metric": self.metric,
            }
            for one in self.settings
        ]

    def to_csv(self) -> str:
        """A line a setting."""
        out = io.StringIO()
        writer = csv.DictWriter(out, list(self.records[0]), lineterminator="\n")
        writer.writeheader()
        for record in self.records:
            writer.writerow({k: visible(v) if isinstance(v, str) else v for k, v in record.items()})
        return out.getvalue()

    def to_json(self) -> str:
        """The settings as in the CSV, the tasks, the footer."""
        whole = {"metric": self.metric, "tasks": self.tasks, "rows": self.records, "notes": self.footer}
        return visible_json(json.dumps(whole, indent=1, ensure_ascii=False)) + "\n"


def overall(
    results: Sequence[CellResult],
    *,
    metric: str | Metric | None = "accuracy",
    tasks: Mapping[str, Task] | None = None,
) -> Overall:
    """One order of all settings over the tasks of the results; only complete cells count.

    metric, tasks: as of `leaderboard`. DataError without results, with fewer than two settings, for a metric
    that is no mean of scores, and for settings that no shared queries connect.
    """
    if not results:
        raise DataError("no results: the run folder holds no cell yet")
    cells = without_copies(results)
    groups = group_cells(cells)
    judge = measure(metric, tasks or {}, cells)
    done = [group for group in groups if group.complete]
    found = strengths(done, values_of(done, judge))
    names = tuple(dict.fromkeys(group.cell.task for group in done))
    one_seed = max(len(group.layout.seeds) for group in done) == 1
    return Overall(tuple(found), judge.name, names, one_seed, len(groups) - len(done))
