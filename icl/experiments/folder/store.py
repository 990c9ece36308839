"""The run folder: what has been computed, safe against being killed at any moment.

A cell's predictions are appended in the order of its test set; once they are all there, the
summary is written by rename with a digest of the lines, and from then on the cell is never touched again
unless its lines are no longer those. Everything that is not complete is computed again from the response
cache, which yields the same lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError, nearest
from icl.experiments.file.config import Experiment
from icl.experiments.folder.cellfile import CellWriter, find_line, read_cell
from icl.experiments.folder.changes import conflicts, differences, read_held
from icl.experiments.folder.disk import read_mapping, write_whole
from icl.experiments.folder.environment import environment, key_of, of_manifest
from icl.experiments.folder.lines import plain
from icl.experiments.folder.lock import FolderLock
from icl.experiments.folder.placing import (
    CELLS,
    EXPERIMENT,
    MANIFEST,
    TASKS,
    not_a_run,
    refuse_strange,
    set_aside,
)
from icl.experiments.folder.shape import check_shape
from icl.experiments.folder.texts import TaskTexts, read_task, read_texts
from icl.experiments.folder.tunings import TUNINGS, TuningFolder
from icl.experiments.folder.verdicts import JudgeEntry, VerdictFolder
from icl.experiments.grid.cells import MAJORITY
from icl.experiments.records import Cell, CellResult
from icl.printable import shortened
from icl.tasks.strict_yaml import read_yaml
from icl.tasks.yaml_loader import dump
from icl.types import Example, Prediction, Task

FORMAT = 2
"""Of the folder. 1 had no number, no digests and no texts."""
MERGED = ("data", "tasks", "overlap")
"""Entries of the manifest, by task, that keep what an earlier grid put there."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a run is going to put into its folder."""

    experiment: Mapping[str, Any]
    """Resolved: with all defaults."""
    cells: Sequence[Cell]
    data: Mapping[str, str]
    """Task -> fingerprint of its definition and rows."""
    queries: Mapping[str, int]
    """Task -> size of its test set."""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    carved: Sequence[str] = ()
    """Tasks whose pool is what the test leaves of one split."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """What else it begins with."""


class RunFolder:
    """runs/<name>/. Reading needs no lock; `begin` takes it for the one process that writes.

    Writing raises OSError; what is damaged or of a newer format is a DataError.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = FolderLock()
        self._environment = ""

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.resolve().name

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """An existing run, for reading. Raises DataError if there is none, or a newer icl wrote it."""
        folder = cls(path)
        if not folder.path.is_dir():
            there = [p.parent.name for p in folder.path.parent.glob(f"*/{MANIFEST}")]
            guess = nearest(folder.path.name, there)
            hint = f" Did you mean {str(folder.path.with_name(guess))!r}?" if guess else ""
            raise DataError(f"{path}: no such run folder.{hint or ' icl run makes them'}")
        if not (folder.path / EXPERIMENT).is_file() or not (folder.path / MANIFEST).is_file():
            raise DataError(not_a_run(folder.path))
        folder.manifest()
        return folder

    # writing: one process at a time

    def begin(self, contents: Contents, *, restart: bool = False) -> None:
        """Takes the lock and creates the folder, or goes on with it if nothing in it would be another's.

        Raises ConfigError if another process writes here, or if the folder holds another experiment (see
        `folder.changes` for what may grow or change).
        """
        refuse_strange(self.path, restart=restart)
        self._lock.take(self.path)
        if restart and (self.path / EXPERIMENT).exists():
            set_aside(self.path)
            self._lock.take(self.path)
        (self.path / CELLS).mkdir(exist_ok=True)
        entries = {
            "format": FORMAT,
            "data": dict(contents.data),
            "queries": dict(contents.queries),
            "cells": [cell.plain for cell in contents.cells],
        }
        if not (self.path / MANIFEST).exists():
            self._write_experiment(contents.experiment)
            # The manifest comes last: a folder that has one is whole.
            self._write_manifest({**contents.manifest, **entries})
            return
        self._check_same(contents)
        named = {"models": self.models()}  # by an experiment that is about to be replaced
        self._write_experiment(contents.experiment)
        held, came = {**self.manifest(), **named}, {**contents.manifest, **entries}
        entries |= {key: {**held.get(key, {}), **came.get(key, {})} for key in MERGED}
        entries |= {key: came[key] for key in ("source", "folder") if key in came}
        self._write_manifest({**held, **entries})

    def _write_experiment(self, experiment: Mapping[str, Any]) -> None:
        text = dump(dict(experiment))
        write_whole(self.path / EXPERIMENT, text)

    def close(self) -> None:
        """Lets go of the lock."""
        self._lock.release()

    def _check_same(self, contents: Contents) -> None:
        manifest = self.manifest()
        held = manifest.get("data", {})
        old = self.read_experiment().resolved
        used = manifest.get("encoder") is not None
        carved = [name for name in contents.carved if name in held]
        changes = conflicts(old, contents.experiment, encoder_used=used, carved=carved)
        for name, fingerprint in contents.data.items():
            if name in held and held[name] != fingerprint:
                changes += self._what_changed(name, contents.tasks.get(name))
        if changes:
            raise ConfigError(self._changed(changes))

    def _what_changed(self, name: str, task: Task | None) -> list[str]:
        """Which keys of a task's definition, or its rows."""
        held, changed = self.task(name), f"the data or definition of task {name!r}"
        if held is None or task is None:
            return [changed]
        plain_tasks = [json.loads(json.dumps(asdict(t), default=str)) for t in (held, task)]
        found = differences(*plain_tasks)
        return [f"{changed} ({what})" for what in found or ["its rows"]]

    def _changed(self, changes: Sequence[str]) -> str:
        return (
            f"{self.path}: holds results of another experiment; changed: {'; '.join(changes)}. "
            "Results are never mixed: give the experiment another name, choose another --output, "
            "or begin anew with --restart (the old folder is kept under a new name)"
        )

    def check_encoder(self, entry: Mapping[str, Any]) -> None:
        """Writes down where the encoder came from, or ConfigError if its fingerprint was another."""
        self._refuse_other("the encoder's fingerprint", self.manifest().get("encoder") or {}, entry)
        self.update_manifest(encoder=dict(entry))

    def check_model(self, label: str, entry: Mapping[str, Any]) -> None:
        """The same of one of the models, by its name on the leaderboard."""
        held = self.models()
        several = len(held.keys() | {label}) > 1
        what = f"the fingerprint of {label!r}" if several else "the model's fingerprint"
        self._refuse_other(what, held.get(label, {}), entry)
        self.update_manifest(models={**held, label: dict(entry)})

    def _refuse_other(self, what: str, held: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        old, new = held.get("fingerprint"), entry.get("fingerprint")
        if old is not None and old != new:
            raise ConfigError(self._changed([f"{what}: {old} -> {new}"]))

    def note_environment(self) -> str:
        """Writes versions and hardware of this process down, and has the cells name them. The key."""
        here = environment()
        self._environment = key_of(here)
        known = self.manifest().get("environments", {})
        if self._environment not in known:
            self.update_manifest(environments={**known, self._environment: here})
        return self._environment

    def environments(self) -> dict[str, dict[str, Any]]:
        """Key -> versions and hardware."""
        manifest = self.manifest()
        whole = of_manifest(manifest)
        return {key_of(whole): whole, **manifest.get("environments", {})}

    def update_manifest(self, **entries: Any) -> None:
        """Sets entries of the manifest."""
        self._write_manifest({**self.manifest(), **entries})

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False, default=plain)
        write_whole(self.path / MANIFEST, text + "\n")

    def writer(self, cell: Cell, queries: int) -> CellWriter:
        """For the predictions of one cell with so many queries."""
        return CellWriter(self.path / CELLS, cell, queries, self._environment)

    def texts(self, task: Task) -> TaskTexts:
        """For the definition and the shown texts of one task."""
        return TaskTexts(self.path / TASKS, task)

    @property
    def tunings(self) -> TuningFolder:
        """What was trained for the run."""
        return TuningFolder(self.path / TUNINGS)

    # reading

    def experiment(self) -> dict[str, Any]:
        """The resolved experiment."""
        try:
            return read_yaml(self.path / EXPERIMENT)[0]
        except ConfigError as error:
            raise DataError(f"{error}; it is damaged: begin anew with --restart") from error

    def read_experiment(self) -> Experiment:
        """The resolved experiment with the defaults of keys that came later. DataError where it is none."""
        return read_held(self.experiment(), str(self.path / EXPERIMENT))

    def manifest(self) -> dict[str, Any]:
        """Versions, fingerprints, hardware, leak report. DataError for that of a newer icl."""
        try:
            loaded = read_mapping(self.path / MANIFEST)
        except DataError as error:
            raise DataError(f"{error}; begin anew with --restart") from error
        written = loaded.get("format", 1)
        if type(written) is not int or written < 1:
            said = f"format: {shortened(repr(written))}"
            raise DataError(f"{self.path / MANIFEST}: is damaged ({said}); begin anew with --restart")
        if written > FORMAT:
            raise DataError(
                f"{self.path}: was written by a newer icl (folder format {written}; this one reads {FORMAT} "
                "and older): update icl"
            )
        check_shape(loaded, self.path / MANIFEST)
        return loaded

    def models(self) -> dict[str, dict[str, Any]]:
        """Label -> name, origin and fingerprint, of the models that were asked."""
        manifest = self.manifest()
        held = manifest.get("models") or {}
        if not held and (alone := manifest.get("model")):  # of a folder from before there were several
            return {self.read_experiment().model_label: alone}
        return dict(held)

    def cells(self) -> list[Cell]:
        """Cells in the order of the grid."""
        try:
            return [Cell.of(record) for record in self.manifest().get("cells", [])]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{self.path / MANIFEST}: is damaged ({error}); begin anew with --restart"
            ) from error

    @property
    def outside(self) -> int:
        """Cells in the folder that the grid no longer has."""
        names = {f"{cell.id}.json" for cell in self.cells()}
        return sum(path.name not in names for path in (self.path / CELLS).glob("*.json"))

    @property
    def lines(self) -> int:
        """Predictions of the grid's cells on the disk; 0 where the folder cannot be read."""
        try:
            cells = [cell for cell in self.cells() if cell.selector != MAJORITY]
            paths = [self.path / CELLS / f"{cell.id}.jsonl" for cell in cells]
            return sum(path.read_bytes().count(b"\n") for path in paths if path.exists())
        except (OSError, DataError):
            return 0

    def result(self, cell: Cell) -> CellResult:
        """One cell with what there is of it."""
        return read_cell(self.path / CELLS, cell, self._queries().get(cell.task))

    @property
    def judge(self) -> JudgeEntry | None:
        """Whose verdicts are shown; None without one."""
        return JudgeEntry.of(self.manifest().get("judge"))

    @property
    def verdicts(self) -> VerdictFolder:
        """What judges said of its cells."""
        return VerdictFolder(self.path)

    def has_lines(self, cell: Cell) -> bool:
        """Whether anything of a cell is on the disk."""
        path = self.path / CELLS / f"{cell.id}.jsonl"
        return path.is_file() and path.stat().st_size > 0

    def prediction(self, cell: Cell, query: str) -> Prediction | None:
        """One line of a cell, without reading the others where nobody judged them; None where the cell has
        none for the query."""
        if (judge := self.judge) is not None:
            lines = self.verdicts.judged(self.result(cell), judge).predictions
            return next((line for line in lines if line.query_id == query), None)
        return find_line(self.path / CELLS / f"{cell.id}.jsonl", query)

    def results(self) -> list[CellResult]:
        """All cells in the order of the grid, those that are not complete or damaged too. Cells from before
        they said their environments were made in that of the folder."""
        queries, whole = self._queries(), key_of(of_manifest(self.manifest()))
        cells = [read_cell(self.path / CELLS, cell, queries.get(cell.task)) for cell in self.cells()]
        judge = self.judge
        found = [self.verdicts.judged(result, judge) for result in cells]
        return [r if r.environments or not r.complete else replace(r, environments=(whole,)) for r in found]

    def _queries(self) -> Mapping[str, int]:
        held = self.manifest().get("queries", {})
        return held if isinstance(held, dict) else {}

    def task(self, name: str) -> Task | None:
        """The definition that is kept; None in folders of format 1."""
        return read_task(self.path / TASKS, name)

    def shown(self, name: str) -> dict[str, Example]:
        """Id -> example, of those that stood in a prompt of the task; {} in folders of format 1."""
        return read_texts(self.path / TASKS, name)
