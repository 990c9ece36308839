"""Rows of `icl list`, kept from one call to the next: to find them every component has to be imported."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

from icl.atomic import write_atomically
from icl.cache import cache_folder
from icl.cli.tables import Row

log = logging.getLogger("icl")

BOOK = "listing.json"
CODE = Path(__file__).parents[1]
"""The package."""


def kept(name: str, find: Callable[[], list[Row]]) -> list[Row]:
    """The rows filed under `name`; `find` is asked where none are, or a file of icl has changed since."""
    path, state = cache_folder() / BOOK, _state(CODE)
    known = _read(path, state)
    if name not in known:
        known = {**_read(path, state), name: [tuple(row) for row in find()]}
        try:
            write_atomically(path, json.dumps({"state": state, "rows": known}, indent=1) + "\n")
        except OSError as error:
            log.info("what there is to list is found anew the next time: %s", error)
    return known[name]


def _state(folder: Path) -> str:
    """Changes with any file of code: its name, size or time."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        said = path.stat()
        found.update(f"{path}\0{said.st_size}\0{said.st_mtime_ns}\n".encode())
    return found.hexdigest()


def _read(path: Path, state: str) -> dict[str, list[Row]]:
    """What is filed for this state of the code; nothing where the file is missing, damaged or older."""
    try:
        book = json.loads(path.read_text(encoding="utf-8"))
        if book["state"] == state:
            return {name: [_row(row) for row in rows] for name, rows in book["rows"].items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        pass
    return {}


def _row(row: object) -> Row:
    if not isinstance(row, list) or not all(isinstance(cell, str) for cell in row):
        raise TypeError(f"{row!r} is no row")
    return tuple(row)
