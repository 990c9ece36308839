"""Whether a file of rows holds items of the test set that is asked afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from icl.errors import ConfigError
from icl.tasks.leaks import LeakIndex
from icl.tasks.readers import read_file
from icl.tasks.rows import Row
from icl.types import Example

TEXTS = ("instruction", "input", "output", "prompt", "completion", "text")


def texts_of(row: Row) -> list[str]:
    """Every text of a row, whatever its form."""
    found = [value for key in TEXTS if isinstance(value := row.values.get(key), str) and value]
    messages = row.values.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        found += [content] if isinstance(content, str) else []
    return found


def refuse_overlap(path: Path, tests: Mapping[str, Sequence[Example]]) -> None:
    """Raises ConfigError where rows of a file hold items of a test set (`icl.tasks.leaks`): how many, of
    which kinds, and the first of them."""
    index, first = LeakIndex(tests), ""
    for row in read_file(path).rows:
        fields = texts_of(row)
        if index.find("\n".join(fields), fields) is not None:
            first = first or row.where
    if first:
        total = sum(index.counts.values())
        names = ", ".join(sorted({task for task, _ in index.counts}))
        raise ConfigError(
            f"{path}: {total} rows overlap the test set of {names} ({index.said()}), the first is {first}: "
            f"icl data build with exclude_test_of: [{names}] leaves them out"
        )
