"""What every reader makes of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read."""

    values: Mapping[str, Any]
    where: str
    """For messages: file and line, or data set and row."""
    index: int
    """0-based among the rows of its split (of its file, for bundled sets): the stable part of the id."""
    problem: str = ""
    """Why the row could not be read; it has no values then."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one split."""

    rows: Sequence[Row]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column -> names of its integer classes, where the data carries them."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a file cannot say of itself."""

    key: str | None = None
    """JSON: the key of the object that holds the rows."""
    quotes: str | None = None
    """TSV: "csv" or "plain", see `delimited`."""
    delimiter: str | None = None
    """Text between two cells of a row where it is not that of the file's suffix."""


AS_IT_IS = Format()
