"""The predictions of runs as one file that other tools read: Parquet, CSV, or a folder for `datasets`."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from icl.errors import ConfigError, StorageError, unknown_name
from icl.experiments.folder.store import RunFolder
from icl.experiments.folder.versions import versions
from icl.leaderboard.predictions import BATCH, SCHEMA, batches

ROW_GROUP = 8 * BATCH
"""Rows of a group of a Parquet file: what a reader takes at once."""
MARK = "dataset_info.json"
"""A folder that has it was written by `datasets`, and may be written over."""
Batches = Iterable[pyarrow.RecordBatch]


def export(
    runs: Sequence[RunFolder],
    to: str,
    path: Path,
    *,
    overwrite: bool = False,
    note: Callable[[str], None] = lambda _: None,
    step: Callable[[str], None] = lambda _: None,
) -> int:
    """Writes the predictions of `runs` to `path`, whole or not at all, and returns how many there are.

    to: a key of FORMS. `note` is told what was left out or is not final, `step` how far it is. Raises
    ConfigError (an unknown form, a path that is taken, two runs of one name), DataError (a damaged folder),
    StorageError.
    """
    if to not in FORMS:
        raise ConfigError(f"--to: {unknown_name('form', to, FORMS)}")
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"two runs are called {twice!r}: column run could not tell them apart; export them alone"
        )
    _refuse_taken(path, to, overwrite=overwrite)
    rows = _Counted(chain.from_iterable(batches(run, note, step) for run in runs))
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as room:
            draft = Path(room) / path.name
            FORMS[to](rows, draft)
            if path.is_dir():
                shutil.rmtree(path)
            os.replace(draft, path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    return rows.count


class _Counted:
    """Batches, and how many rows have gone by."""

    def __init__(self, rows: Batches) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        for batch in self._rows:
            self.count += batch.num_rows
            yield batch


def _refuse_taken(path: Path, to: str, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"--output: {path.parent}: no such folder")
    if not os.path.lexists(path):
        return
    ours = (path / MARK).is_file() if to == "datasets" else path.is_file()
    if not ours:
        raise ConfigError(f"--output: {path}: is something else than an earlier export; choose another name")
    if not overwrite:
        raise ConfigError(f"--output: {path}: is there already; --overwrite replaces it")


def write_parquet(rows: Batches, path: Path) -> None:
    """Compressed with zstd; the version of icl stands in the file's metadata."""
    schema = SCHEMA.with_metadata({"icl": versions().get("icl", "")})
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[pyarrow.RecordBatch] = []
        for batch in rows:
            waiting.append(batch)
            if sum(b.num_rows for b in waiting) >= ROW_GROUP:
                writer.write_table(pyarrow.Table.from_batches(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(pyarrow.Table.from_batches(waiting))


def write_csv(rows: Batches, path: Path) -> None:
    """UTF-8 with a header; lists as JSON, true and false, an empty field where there is nothing."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SCHEMA.names)
        for batch in rows:
            columns = [column.to_pylist() for column in batch.columns]
            writer.writerows([_cell(value) for value in row] for row in zip(*columns, strict=True))


def _cell(value: Any) -> Any:
    if isinstance(value, list | bool):
        return json.dumps(value, ensure_ascii=False)
    return value


def write_dataset(rows: Batches, path: Path) -> None:
    """A folder for `datasets.load_from_disk`."""
    import datasets

    stream = path.with_name("stream.arrow")
    with pyarrow.ipc.new_stream(stream, SCHEMA) as writer:
        for batch in rows:
            writer.write_batch(batch)
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        datasets.Dataset.from_file(str(stream)).save_to_disk(path)
    finally:
        if shown:
            datasets.enable_progress_bars()


FORMS: dict[str, Callable[[Batches, Path], None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "datasets": write_dataset,
}
"""How predictions are written, by the name of the form."""
