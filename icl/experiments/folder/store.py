"""The run folder: what has been computed, safe against being killed at any moment.

A cell's predictions are appended in the order of its test set; once they are all there, the
summary is written by rename, and from then on the cell is never touched again. Everything that
is not complete is computed again from the response cache, which yields the same lines.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError, nearest
from icl.experiments.folder.cellfile import DRAFT, CellWriter, read_lines, read_summary, write_whole
from icl.experiments.folder.lines import plain
from icl.experiments.records import Cell, CellResult
from icl.tasks.strict_yaml import read_yaml
from icl.tasks.yaml_loader import dump
from icl.types import NO_USAGE, Usage

EXPERIMENT = "experiment.yaml"
MANIFEST = "manifest.json"
CELLS = "cells"
LOCK = ".lock"


class RunFolder:
    """runs/<name>/. Reading needs no lock; `begin` takes it for the one process that writes."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock: Any = None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.resolve().name

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """An existing run, for reading. Raises DataError if there is none."""
        folder = cls(path)
        if not folder.path.is_dir():
            there = [p.parent.name for p in folder.path.parent.glob(f"*/{MANIFEST}")]
            guess = nearest(folder.path.name, there)
            hint = f" Did you mean {str(folder.path.with_name(guess))!r}?" if guess else ""
            raise DataError(f"{path}: no such run folder.{hint or ' icl run makes them'}")
        if not (folder.path / EXPERIMENT).is_file() or not (folder.path / MANIFEST).is_file():
            raise DataError(f"{path}: not a run folder ({EXPERIMENT} or {MANIFEST} is missing)")
        return folder

    # writing: one process at a time

    def begin(
        self,
        experiment: Mapping[str, Any],
        data: Mapping[str, str],
        cells: Sequence[Cell],
        manifest: Mapping[str, Any],
        *,
        restart: bool = False,
    ) -> None:
        """Takes the lock and creates the folder, or goes on with it if it holds the same.

        `experiment`: the resolved file; `data`: task -> fingerprint. Raises ConfigError if another
        process writes here, or if the folder holds another experiment. Another `leaderboard` section
        is no other experiment: no result depends on it, and the new one is kept.
        """
        self._refuse_strange()
        self._take_lock()
        if restart and (self.path / EXPERIMENT).exists():
            self._set_aside()
            self._take_lock()
        if (self.path / MANIFEST).exists():
            self._check_same(experiment, data)
            self._write_experiment(experiment)  # how rows are judged may have changed
            self.update_manifest(cells=[asdict(c) for c in cells])
            return
        (self.path / CELLS).mkdir(exist_ok=True)
        self._write_experiment(experiment)
        # The manifest comes last: a folder that has one is whole.
        self._write_manifest({**manifest, "data": dict(data), "cells": [asdict(c) for c in cells]})

    def _write_experiment(self, experiment: Mapping[str, Any]) -> None:
        text = dump(dict(experiment))
        write_whole(self.path / EXPERIMENT, text)

    def _refuse_strange(self) -> None:
        """A folder of something else is left alone; one whose start was killed is not strange."""
        if not self.path.is_dir() or (self.path / MANIFEST).exists():
            return
        own = {LOCK, CELLS, EXPERIMENT, f"{EXPERIMENT}{DRAFT}", f"{MANIFEST}{DRAFT}"}
        strange = sorted(p.name for p in self.path.iterdir() if p.name not in own)
        if strange:
            raise ConfigError(
                f"{self.path}: holds other files ({strange[0]}, ...) and is not a run folder; "
                "choose another name or --output"
            )

    def close(self) -> None:
        """Lets go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = open(self.path / LOCK, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise ConfigError(
                f"{self.path}: another process (pid {holder}) is writing to this run folder; "
                "wait for it, or use another name or --output"
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self.close()
        self._lock = handle

    def _set_aside(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.{stamp}")
        for n in range(2, 100):
            if not aside.exists():
                break
            aside = self.path.with_name(f"{self.path.name}.{stamp}-{n}")
        shutil.move(self.path, aside)

    def _check_same(self, experiment: Mapping[str, Any], data: Mapping[str, str]) -> None:
        changes = _differences(_what_is_run(self.experiment()), _what_is_run(experiment))
        held = self.manifest().get("data", {})
        for task in data:
            if not changes and held.get(task) != data[task]:
                changes.append(f"the data or definition of task {task!r}")
        if changes:
            raise ConfigError(self._changed(changes))

    def _changed(self, changes: Sequence[str]) -> str:
        return (
            f"{self.path}: holds results of another experiment; changed: {'; '.join(changes)}. "
            "Results are never mixed: give the experiment another name, choose another --output, "
            "or begin anew with --restart (the old folder is kept under a new name)"
        )

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Writes the model's source and fingerprint down, or ConfigError if they were others."""
        held = self.manifest().get("model") or {}
        old, new = held.get("fingerprint"), model.get("fingerprint")
        if old is not None and old != new:
            raise ConfigError(self._changed([f"the model's fingerprint: {old} -> {new}"]))
        self.update_manifest(model=dict(model))

    def update_manifest(self, **entries: Any) -> None:
        """Sets entries of the manifest."""
        self._write_manifest({**self.manifest(), **entries})

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False, default=plain)
        write_whole(self.path / MANIFEST, text + "\n")

    def writer(self, cell: Cell) -> CellWriter:
        """For the predictions of one cell."""
        return CellWriter(self.path / CELLS, cell)

    # reading

    def experiment(self) -> dict[str, Any]:
        """The resolved experiment."""
        try:
            return read_yaml(self.path / EXPERIMENT)[0]
        except ConfigError as error:
            raise DataError(f"{error}; it is damaged: begin anew with --restart") from error

    def manifest(self) -> dict[str, Any]:
        """Versions, fingerprints, hardware, leak report."""
        try:
            loaded = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(
                f"{self.path / MANIFEST}: is damaged ({error}); begin anew with --restart"
            ) from error
        return dict(loaded)

    def cells(self) -> list[Cell]:
        """Cells in the order of the grid."""
        return [Cell(**record) for record in self.manifest()["cells"]]

    def is_complete(self, cell: Cell) -> bool:
        """True once all predictions of a cell are final."""
        return bool(read_summary(self.path / CELLS, cell).get("complete"))

    def result(self, cell: Cell) -> CellResult:
        """One cell with what there is of it."""
        summary = read_summary(self.path / CELLS, cell)
        predictions, _ = read_lines(self.path / CELLS / f"{cell.id}.jsonl")
        complete = bool(summary.get("complete"))
        if complete and len(predictions) != summary["predictions"]:
            raise DataError(
                f"{self.path / CELLS / cell.id}.jsonl: holds {len(predictions)} whole lines, "
                f"not the {summary['predictions']} that were written; begin anew with --restart"
            )
        return CellResult(
            cell=cell,
            predictions=predictions,
            selection_usage=Usage(*summary["selection_usage"]) if summary else NO_USAGE,
            selection_seconds=summary.get("selection_seconds", 0.0),
            metrics=summary.get("metrics", {}),
            complete=complete,
            notes=summary.get("notes", {}),
        )

    def results(self) -> list[CellResult]:
        """All cells in the order of the grid, those that are not complete too."""
        return [self.result(cell) for cell in self.cells()]


def _what_is_run(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only decides how results are shown."""
    return {key: value for key, value in experiment.items() if key != "leaderboard"}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """ "pool: 512 -> 256", one entry a key."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping) and key != "model":
            found += _differences(before, after, f"{prefix}{key}.")
        else:
            shown = [json.dumps(v, ensure_ascii=False, default=str) for v in (before, after)]
            found.append(f"{prefix}{key}: {shown[0]} -> {shown[1]}")
    return found
