"""Texts of a page, each stored once and looked up by number, in blocks that are read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from icl.types import Example

CHARACTERS = 200_000
"""Of a block of texts, about."""
EXAMPLES = 1000
"""Of a block of examples."""


def utf16(text: str, position: int) -> int:
    """A position in `text` as JavaScript counts it."""
    if text.isascii():
        return position
    return len(text[:position].encode("utf-16-le", "surrogatepass")) // 2


class Texts:
    """Text -> its number, in order of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Of a text, new or known."""
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def all(self) -> list[str]:
        """By number."""
        return list(self._numbers)

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """(number of the first, texts) a block."""
        block: list[str] = []
        first = size = 0
        for number, text in enumerate(self._numbers):
            block.append(text)
            size += len(text)
            if size >= CHARACTERS:
                yield first, block
                block, first, size = [], number + 1, 0
        if block:
            yield first, block


class Examples:
    """The queries and demonstrations of one task: id -> place; those that are not kept have an id only."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._rows: list[Example | None] = []

    def place(self, name: str, known: Example | None) -> int:
        """Of an id; `known` is what the folder keeps of it."""
        at = self._places.get(name)
        if at is None:
            at = self._places[name] = len(self._rows)
            self._rows.append(known)
        elif self._rows[at] is None:
            self._rows[at] = known
        return at

    @property
    def ids(self) -> list[str]:
        """In the order of their places."""
        return list(self._places)

    def blocks(self) -> Iterator[list[Sequence[Any] | None]]:
        """EXAMPLES rows of (text, target, choices, rationale) each."""
        for start in range(0, len(self._rows), EXAMPLES):
            yield [_row(example) for example in self._rows[start : start + EXAMPLES]]


def _row(example: Example | None) -> Sequence[Any] | None:
    if example is None:
        return None
    return [example.text, example.target, dict(example.choices) or 0, example.rationale or 0]
