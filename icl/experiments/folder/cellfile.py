"""The two files of one cell: its predictions, appended, and its summary, replaced by rename."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from icl.errors import DataError
from icl.experiments.folder.lines import from_line, plain, to_line
from icl.experiments.records import Cell, CellResult
from icl.types import Prediction, Usage

DRAFT = ".new"
"""Ends the name of a file that is being written and will take its place by rename."""
SYNC_SECONDS = 1.0


class CellWriter:
    """Appends predictions of one cell; `finish` makes them final."""

    def __init__(self, folder: Path, cell: Cell) -> None:
        self.cell = cell
        self._folder = folder
        self._path = folder / f"{cell.id}.jsonl"
        predictions, whole = read_lines(self._path)
        if self._path.exists() and self._path.stat().st_size != whole:
            os.truncate(self._path, whole)  # the torn last line of a process that was killed
        self.written = len(predictions)
        """Lines on disk or about to be."""
        self._waiting: list[str] = []
        self._synced = time.monotonic()

    @property
    def selection(self) -> tuple[Usage, float] | None:
        """Cost of choosing the demonstrations as first measured; None before that."""
        summary = read_summary(self._folder, self.cell)
        if not summary:
            return None
        return Usage(*summary["selection_usage"]), float(summary["selection_seconds"])

    def start(self, result: CellResult) -> None:
        """Writes the cell down with its selection cost, before any prediction."""
        self._write_summary(result, 0)

    def append(self, index: int, prediction: Prediction) -> None:
        """Prediction `index` of the test set, in order; those already on disk are passed over."""
        if index < self.written:
            return
        if index > self.written:
            raise ValueError(f"prediction {index} of {self.cell.id} comes before {self.written}")
        self._waiting.append(to_line(prediction) + "\n")
        self.written += 1
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Brings what waits to the disk."""
        self._synced = time.monotonic()
        if not self._waiting:
            return
        with open(self._path, "ab") as file:
            file.write("".join(self._waiting).encode())
            file.flush()
            os.fsync(file.fileno())
        self._waiting.clear()

    def finish(self, result: CellResult) -> None:
        """Makes the cell final. Lines that differ from what is final (a method that looks at the
        whole cell changes them, or a lost cache was asked again) are replaced by rename."""
        self.sync()
        text = "".join(to_line(p) + "\n" for p in result.predictions)
        if not self._path.exists() or self._path.read_bytes() != text.encode():
            write_whole(self._path, text)
        self.written = len(result.predictions)
        self._write_summary(replace(result, complete=True), len(result.predictions))

    def _write_summary(self, result: CellResult, predictions: int) -> None:
        record = {
            "cell": asdict(self.cell),
            "complete": result.complete,
            "predictions": predictions,
            "metrics": dict(result.metrics),
            "usage": asdict(result.usage),
            "selection_usage": list(asdict(result.selection_usage).values()),
            "selection_seconds": round(result.selection_seconds, 3),
            "notes": dict(result.notes),
        }
        text = json.dumps(record, indent=2, ensure_ascii=False, default=plain) + "\n"
        write_whole(self._folder / f"{self.cell.id}.json", text)


def read_summary(folder: Path, cell: Cell) -> dict[str, Any]:
    """The cell's summary; {} before there is one. DataError where the file is damaged."""
    try:
        loaded = json.loads((folder / f"{cell.id}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(
            f"{folder / cell.id}.json: is damaged ({error}); begin anew with --restart"
        ) from error
    return dict(loaded)


def read_lines(path: Path) -> tuple[tuple[Prediction, ...], int]:
    """Predictions up to the first line that is not whole, and the bytes they take."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return (), 0
    predictions: list[Prediction] = []
    whole = 0
    for line in data.splitlines(keepends=True):
        try:
            if not line.endswith(b"\n"):
                break
            predictions.append(from_line(line.decode()))
        except (ValueError, KeyError, TypeError):
            break
        whole += len(line)
    return tuple(predictions), whole


def write_whole(path: Path, text: str) -> None:
    """The whole file or the old one, whatever happens."""
    draft = path.with_name(path.name + DRAFT)
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
