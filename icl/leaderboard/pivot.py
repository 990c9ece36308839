"""A leaderboard crosswise: one axis down, the sections of the board across, a value in each cell."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icl.errors import DataError
from icl.leaderboard.board import Board
from icl.leaderboard.columns import NOT_YET, percent
from icl.leaderboard.fields import records
from icl.leaderboard.footer import caveats, pairing
from icl.leaderboard.grid import LEADS, Grid, OfGrid
from icl.leaderboard.names import AXES
from icl.leaderboard.rows import Row
from icl.printable import visible, visible_json

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pivot(OfGrid):
    """Cells of a board by row and column; columns are the board's sections, in which its ranks were found."""

    board: Board
    down: tuple[str, ...]
    """Axes of the rows."""

    @property
    def across(self) -> tuple[str, ...]:
        """Axes of the columns."""
        return self.board.sections

    @property
    def cells(self) -> dict[tuple[Key, Key], Row]:
        """(row, column) -> what stands there. DataError where several rows would."""
        found: dict[tuple[Key, Key], Row] = {}
        for row in self.board.rows:
            other = found.setdefault((_values(row, self.down), _values(row, self.across)), row)
            if other is not row:
                axis = next(a for a in AXES if getattr(row, a) != getattr(other, a))
                named = ",".join((*self.down, axis))
                raise DataError(
                    f"rows {','.join(self.down)}, cols {','.join(self.across)}: several rows fall into one "
                    f"cell, {row.setting} and {other.setting}; give rows {named}, or keep one value: "
                    f"where {axis}={getattr(row, axis)}"
                )
        return found

    @property
    def rows(self) -> list[Key]:
        """Best mean over its cells first, among those of as many cells."""
        means: dict[Key, list[float]] = {}
        for (down, _), row in self.cells.items():
            means.setdefault(down, []).extend([row.value.value] if row.value else [])
        return sorted(means, key=lambda k: (-len(means[k]), -sum(means[k]) / max(len(means[k]), 1)))

    @property
    def columns(self) -> list[Key]:
        """In the order of the board, numbers by size."""
        met = list(dict.fromkeys(across for _, across in self.cells))
        return sorted(met, key=lambda k: [(int(v), "") if v.isdigit() else (0, "") for v in k])

    @property
    def footer(self) -> list[str]:
        """What the marks say, and the caveats of the board."""
        named = ", ".join(self.across)
        lines = [f"{self.board.metric} in %: mean over seeds."]
        if any(row.leads for row in self.cells.values()):
            lines.append(
                f"{LEADS} best of its {named}, or not distinguishable from it (paired p for new seeds and "
                "queries, Bonferroni over the others; one seed: for new queries)."
            )
        if any(row.comparison for row in self.cells.values()):
            lines.append(
                f"* p<0.05 ** p<0.01 *** p<0.001 against {self.board.compare_to}, Holm; (*) nothing is shown "
                "for new seeds."
            )
            lines += pairing(self.board, self.board.names)
        return [*lines, *caveats(self.board, self.board.names)]

    def _heads(self, short: Callable[[str, str], str] = lambda _, label: label) -> list[str]:
        """short: (axis, label) -> what it is called."""
        return [*self.down, *(" ".join(map(short, self.across, across)) for across in self.columns)]

    @property
    def grid(self) -> Grid:
        """As texts: values in per cent with their marks."""
        return self._grid(lambda _, label: label, [])

    @property
    def short_grid(self) -> Grid:
        """The same with labels as short as tells them apart."""
        names = self.board.names
        met = {label for key in (*self.rows, *self.columns) for label in key}
        legend = [one for one in names.legend if one.split(": ", 1)[1] in met]
        return self._grid(names.label, [f"Names in full: {'; '.join(legend)}."] if legend else [])

    def _grid(self, short: Callable[[str, str], str], more: Sequence[str]) -> Grid:
        cells, columns = self.cells, self.columns
        lines = [
            [*map(short, self.down, down), *(_shown(cells.get((down, across))) for across in columns)]
            for down in self.rows
        ]
        return Grid(self.board.title, self._heads(short), len(self.down), lines, [*self.footer, *more])

    def to_csv(self) -> str:
        """Values in full precision, as fractions; empty where there is none."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(visible, self._heads()))
        cells, columns = self.cells, self.columns
        for down in self.rows:
            met = [cells.get((down, across)) for across in columns]
            values = [row.value.value if row and row.value else "" for row in met]
            writer.writerow([*map(visible, down), *values])
        return out.getvalue()

    def to_json(self) -> str:
        """Axes, keys in order, and for each cell its row with all fields."""
        own = {id(row): record for row, record in zip(self.board.rows, records(self.board), strict=True)}
        cells, downs, acrosses = self.cells, self.rows, self.columns
        whole = {
            "title": self.board.title,
            "metric": self.board.metric,
            "compare_to": self.board.compare_to,
            "rows": {"axes": self.down, "keys": downs},
            "cols": {"axes": self.across, "keys": acrosses},
            "cells": [
                {"row": down, "col": across, **own[id(cells[down, across])]}
                for down in downs
                for across in acrosses
                if (down, across) in cells
            ],
            "notes": self.footer,
        }
        return visible_json(json.dumps(whole, indent=1, ensure_ascii=False)) + "\n"


def _shown(row: Row | None) -> str:
    """The cell as text: value, mark of the first rank group, stars."""
    if row is None or row.value is None:
        return NOT_YET if row is None else "incomplete"
    mark = f" {row.comparison.mark}" if row.comparison and row.comparison.mark else ""
    return percent(row.value.value) + LEADS * row.leads + mark


def _values(row: Row, names: Sequence[str]) -> Key:
    return tuple(str(getattr(row, name)) for name in names)
