"""Writing so that a file is whole or the old one, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from icl.errors import DataError

DRAFT = ".new"
"""Ends the name of a file that is being written and will take its place by rename."""


def write_whole(path: Path, text: str | bytes) -> None:
    """The whole file or the old one. Raises OSError; then no draft is left to take up room."""
    draft = path.with_name(path.name + DRAFT)
    try:
        with open(draft, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def append(path: Path, text: str) -> None:
    """Adds to the end of a file and brings it to the disk. Raises OSError, perhaps with a part written:
    the next reader stops at the last whole line."""
    with open(path, "ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON object from a file. DataError where it is damaged or something else; OSError."""
    try:
        loaded = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is damaged ({error})") from error
    if not isinstance(loaded, dict):
        raise DataError(f"{path}: is damaged (a mapping is expected, not {type(loaded).__name__})")
    return loaded
