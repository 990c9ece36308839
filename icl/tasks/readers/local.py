"""Data sets inside the package, and the folder of local copies."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

from icl.errors import DataError, unknown_name
from icl.tasks.readers.json_rows import json_lines
from icl.tasks.rows import Table

MIRROR_VARIABLE = "ICL_DATA"


def read_bundled(name: str) -> Table:
    """A data set inside the package: icl/tasks/data/<name>.jsonl."""
    folder = importlib.resources.files("icl.tasks") / "data"
    try:
        text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        known = [f.name.removesuffix(".jsonl") for f in folder.iterdir()] if folder.is_dir() else []
        raise DataError(unknown_name("bundled data set", name, known)) from error
    rows = tuple(json_lines(text, f"icl/tasks/data/{name}.jsonl"))
    if not rows:
        raise DataError(f"bundled data set {name!r} is empty")
    return Table(rows)


def mirror_folder(name: str) -> Path | None:
    """The folder of data set `name` below ICL_DATA; None where the variable is unset or lacks it.

    Raises DataError when ICL_DATA names a folder that does not exist.
    """
    root = os.environ.get(MIRROR_VARIABLE, "")
    if not root:
        return None
    if not os.path.isdir(root):
        raise DataError(f"{MIRROR_VARIABLE} is {root!r}: no such folder")
    folder = Path(root) / name
    return folder if os.path.isdir(folder) else None
