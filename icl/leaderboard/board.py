"""What a leaderboard holds, whatever the notation it is written in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from icl.leaderboard.columns import Column, constant_size, measured_columns, setting_columns
from icl.leaderboard.names import Names
from icl.leaderboard.rows import SECTIONS, Row
from icl.leaderboard.views import RESULTS, view_columns


@dataclass(frozen=True, slots=True)
class Board:
    """Rows sorted by metric within model and task, and what must be said beside them."""

    rows: tuple[Row, ...]
    metric: str
    compare_to: str | None
    """The baseline in words."""
    resamples: int
    precision: str = ""
    notes: tuple[str, ...] = ()
    sections: tuple[str, ...] = SECTIONS
    """What the rows of one section of the table are alike in."""
    view: str = RESULTS
    """Which columns stand beside the settings."""

    @property
    def settings(self) -> dict[str, str]:
        """What all rows share: column -> value. It stands in the caption, not in the table."""
        return setting_columns(self.rows)[1]

    @property
    def names(self) -> Names:
        """Of its rows."""
        return Names(row.cell for row in self.rows)

    @property
    def columns(self) -> list[Column]:
        """Columns of the table for people; the CSV has all of them."""
        return self.columns_with(None)

    def columns_with(self, names: Names | None) -> list[Column]:
        """The same with labels as short as `names` has them."""
        varying, _ = setting_columns(self.rows, names)
        found = measured_columns(self.rows, self.metric, self.compare_to)
        if self.view == RESULTS:
            return varying + found
        value, interval = found[:2]
        return [*varying, value, replace(interval, rank=4), *view_columns(self.view, self.rows)]

    def section(self, row: Row) -> tuple[str, ...]:
        """The values that it shares with the rows of its section."""
        return tuple(str(getattr(row, axis)) for axis in self.sections)

    def short_name(self, row: Row) -> str:
        """What tells it from the others of its task and section."""
        return self.names.of(row.cell, ("task", *self.sections))

    @property
    def title(self) -> str:
        """The shared settings in one line."""
        settings = {key: value for key, value in self.settings.items() if value}
        if "shots" in settings:
            settings["shots"] += "-shot"
        named = [value if key in ("shots",) else f"{key} {value}" for key, value in settings.items()]
        size = constant_size(self.rows)
        return " · ".join([*named, size] if size else named)
