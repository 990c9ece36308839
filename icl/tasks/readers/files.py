"""One file, or the files of a split, by their suffixes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from icl.errors import DataError
from icl.tasks.readers.contents import PACKED, decoded, read_bytes, suffixes
from icl.tasks.readers.delimited import delimited
from icl.tasks.readers.json_rows import json_file, json_lines
from icl.tasks.readers.parquet import parquet
from icl.tasks.rows import AS_IT_IS, Format, Row, Table

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


def read_file(path: Path) -> Table:
    """The rows of one file. DataError as `read_table`, and for the first row that cannot be read."""
    table = read_table([path])
    for row in table.rows:
        if row.problem:
            raise DataError(f"{row.where}: {row.problem}")
    return table


def read_table(paths: Sequence[Path], form: Format = AS_IT_IS) -> Table:
    """The rows of all files, one after another, numbered through. Rows that cannot be read say why.

    Raises DataError when a file is missing, empty, of another format, damaged or not UTF-8, and when two
    name the classes of a column differently.
    """
    rows: list[Row] = []
    classes: dict[str, Sequence[str]] = {}
    for path in paths:
        table = _one(path, form)
        if not table.rows:
            raise DataError(f"data file {path} is empty: it holds no rows")
        rows += [replace(row, index=len(rows) + row.index) for row in table.rows] if rows else table.rows
        for column, named in table.class_names.items():
            if classes.setdefault(column, named) != named:
                raise DataError(
                    f"data file {path} names the classes of {column!r} otherwise than those before it"
                )
    return Table(tuple(rows), classes)


def _one(path: Path, form: Format) -> Table:
    kind = suffixes(path.name)[0]
    if kind not in FORMATS:
        allowed = f"Allowed: {', '.join(FORMATS)}, each also with {', '.join(PACKED)}"
        if os.path.exists(path) and not os.path.isdir(path):
            raise DataError(f"data file {path}: unknown format {kind!r}. {allowed}")
    if form.key is not None and kind != ".json":
        raise DataError(f"data file {path}: 'key' is for .json files, which are one object")
    content = read_bytes(path)
    if kind == ".parquet":
        return parquet(content, str(path))
    text = decoded(content, path)
    return Table(tuple(_text_rows(kind, text, str(path), form)))


def _text_rows(kind: str, text: str, name: str, form: Format) -> Iterable[Row]:
    if not text.strip():
        return ()
    if kind == ".json":
        return json_file(text, name, form)
    if kind in (".csv", ".tsv"):
        return delimited(text, name, form, "," if kind == ".csv" else "\t")
    return json_lines(text, name)


def named_files(folder: Path, given: str | Sequence[str]) -> list[Path]:
    """The files of a split: each name relative to `folder`, patterns (`part-*.jsonl`, `**`) in sorted order.

    A name that is there is that file, whatever characters it has. Raises DataError for a pattern that
    nothing matches, and for a file that is named twice.
    """
    found: list[Path] = []
    for name in [given] if isinstance(given, str) else given:
        path = folder / name
        if glob.has_magic(name) and not _is_there(path):
            hits = sorted(glob.glob(name, root_dir=folder, recursive=True))
            files = [folder / hit for hit in hits if os.path.isfile(folder / hit)]
            if not files:
                raise DataError(f"no data file matches {name!r} in {folder}")
            found += files
        else:
            found.append(path)
    twice = next((path for at, path in enumerate(found) if path in found[:at]), None)
    if twice is not None:
        raise DataError(f"data file {twice} is named twice")
    return found


def _is_there(path: Path) -> bool:
    try:
        return os.path.exists(path)
    except (OSError, ValueError):  # a name that no file can have
        return False
