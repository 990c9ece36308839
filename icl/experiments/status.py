"""How far a run is, from its folder alone: works while it grows, and takes no lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from icl.errors import DataError
from icl.experiments.folder.cellfile import count_cell
from icl.experiments.folder.placing import CELLS
from icl.experiments.folder.progress import Progress, read_progress
from icl.experiments.folder.store import RunFolder
from icl.experiments.grid.cells import MAJORITY
from icl.experiments.records import Cell


@dataclass(slots=True)
class RowStatus:
    """One row of the leaderboard to be."""

    model: str
    task: str
    setting: str
    cells: int = 0
    complete: int = 0
    total: int = 0
    """Predictions of all its cells."""
    predictions: int = 0
    """Of those on the disk."""
    values: list[float] = field(default_factory=list)
    """Accuracy of each complete cell."""

    @property
    def accuracy(self) -> float | None:
        """Mean over the complete cells; None before the first."""
        return sum(self.values) / len(self.values) if self.values else None


@dataclass(frozen=True, slots=True)
class Status:
    """A run as it is on the disk now. Rows that ask no model (majority class) are left out."""

    name: str
    rows: tuple[RowStatus, ...]
    progress: Progress | None
    """What the last session said; None for folders of an older icl."""
    last_end: str | None
    """How the last finished session ended: "complete", or the error; None before the first has."""
    problems: tuple[str, ...]
    """Damaged cells, half-written lines, tunings that failed: one line each."""
    near_ties: int = 0
    workers: Mapping[str, Any] = field(default_factory=dict)
    """What the last session with an executor says of its workers; {} without one."""

    @property
    def total(self) -> int:
        """Predictions of the whole grid."""
        return sum(row.total for row in self.rows)

    @property
    def predictions(self) -> int:
        """Of those on the disk."""
        return sum(row.predictions for row in self.rows)

    @property
    def cells(self) -> tuple[int, int]:
        """Complete, and all."""
        return sum(row.complete for row in self.rows), sum(row.cells for row in self.rows)

    @property
    def state(self) -> str:
        """complete, running, unknown (a session on another machine) or stopped."""
        done, cells = self.cells
        if cells and done == cells:
            return "complete"
        runs = self.progress.runs if self.progress is not None else False
        return {True: "running", None: "unknown", False: "stopped"}[runs]

    @property
    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        done, cells = self.cells
        session: dict[str, Any] | None = None
        if self.progress is not None:
            session = asdict(self.progress)
            session["predictions_per_second"] = self.progress.predictions_per_second
        return {
            "name": self.name,
            "state": self.state,
            "cells": {"complete": done, "all": cells},
            "predictions": {"kept": self.predictions, "all": self.total},
            "near_ties": self.near_ties,
            "workers": dict(self.workers),
            "session": session,
            "last_end": self.last_end,
            "problems": list(self.problems),
            "rows": [{**asdict(row), "accuracy": row.accuracy} for row in self.rows],
        }


def status(folder: RunFolder) -> Status:
    """Counts lines, reads summaries and compares digests; parses no prediction. Raises DataError, OSError."""
    manifest = folder.manifest()
    queries: Mapping[str, int] = manifest.get("queries", {})
    rows: dict[Any, RowStatus] = {}
    problems: list[str] = []
    near_ties = 0
    for cell in folder.cells():
        if cell.selector == MAJORITY:
            continue
        row = rows.setdefault(cell.row, RowStatus(cell.model, cell.task, cell.setting))
        near_ties += _add(row, folder, cell, queries.get(cell.task, 0), problems)
    for words, said in dict(manifest.get("untrained") or {}).items():
        problems.append(f"tuning {words}: {said}")
    sessions = manifest.get("sessions", [])
    return Status(
        name=folder.name,
        rows=tuple(rows.values()),
        progress=_progress(folder, problems),
        last_end=str(sessions[-1].get("ended_by")) if sessions else None,
        problems=tuple(problems),
        near_ties=near_ties,
        workers=manifest.get("workers") or {},
    )


def _progress(folder: RunFolder, problems: list[str]) -> Progress | None:
    try:
        return read_progress(folder.path)
    except DataError as error:
        problems.append(str(error))
        return None


def _add(row: RowStatus, folder: RunFolder, cell: Cell, queries: int, problems: list[str]) -> int:
    """Counts one cell; its near ties."""
    lines, summary, damage = count_cell(folder.path / CELLS, cell)
    if damage:
        problems.append(damage)
    row.cells += 1
    row.total += queries or lines
    row.predictions += lines
    if summary is None or damage or not summary.complete or queries not in (0, lines):
        return 0
    row.complete += 1
    if "accuracy" in summary.metrics:
        row.values.append(summary.metrics["accuracy"])
    return int(dict(summary.notes.get("flags") or {}).get("near_tie", 0))
