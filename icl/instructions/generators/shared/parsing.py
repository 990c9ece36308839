"""Lists and fields in what a model wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\n\s*\d+\s?[.\u3001\uff0e][^\S\n]*")


def parts(text: str) -> list[str]:
    """Items of a list that goes on, empty ones too: the first stands behind a number that the prompt ended
    with."""
    return [part.strip() for part in _NUMBER.split(text)]


def numbered(text: str) -> list[str]:
    """Those of them that are not empty."""
    return [part for part in parts(text) if part]


def fields(text: str, names: Sequence[str]) -> dict[str, str] | None:
    """`Name: value` in this order, each at the beginning of a line but for the first, whose name the prompt
    may have said; None where one is missing, is there twice or is out of order."""
    marks = []
    for at, name in enumerate(names):
        begin = r"(?:^|\n)\s*"
        hits = list(re.finditer(rf"{begin}{re.escape(name)}\s*[:\uff1a]", text))
        if not hits and at == 0:
            marks.append((0, 0))
            continue
        if len(hits) != 1:
            return None
        marks.append((hits[0].start(), hits[0].end()))
    ends = [start for start, _ in marks[1:]] + [len(text)]
    if any(end < begin for (_, begin), end in zip(marks, ends, strict=True)):
        return None
    return {name: text[begin:end].strip() for name, (_, begin), end in zip(names, marks, ends, strict=True)}
