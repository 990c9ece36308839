"""Cells of an annotation file as values: names, numbers, lists, orders. Each error names row, key and
value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl.errors import DataError, unknown_name
from icl.printable import shortened
from icl.tasks.rows import Row


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one row."""

    row: Row
    needs: str
    """What a row of this kind has, for messages."""

    def error(self, key: str, value: object, allowed: str) -> DataError:
        """For a value that cannot be taken."""
        return DataError(f"{self.row.where}: {key} is {shortened(repr(value))}; allowed: {allowed}")

    def name(self, key: str) -> str:
        """A text that is not empty. DataError where it is missing."""
        found = self.maybe(key)
        if found is None:
            raise DataError(f"{self.row.where}: {key} is missing; {self.needs}")
        return found

    def maybe(self, key: str) -> str | None:
        """The same, None where it is missing. White space around a name is no part of it."""
        text = self.text(key)
        if text is not None and not text.strip():
            raise self.error(key, text, "a text that is not empty")
        return None if text is None else text.strip()

    def text(self, key: str) -> str | None:
        """A text as it stands; None where it is missing."""
        value = _written(self.row.values.get(key))
        if value is not None and not isinstance(value, str):
            raise self.error(key, value, "a text")
        return None if value is None else str(value)

    def number(self, key: str) -> float:
        """A finite number. DataError where it is missing or none."""
        text = self.name(key)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(key, text, "a number")
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """A list of unlike names: of JSON, or `x|y` in a text. None where it is missing."""
        value = self.row.values.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            value = self._json(key, value) if value.lstrip().startswith("[") else value.split("|")
        if not isinstance(value, list):
            raise self.error(key, value, "a list of names, in CSV x|y or a list of JSON")
        found = tuple(self._one(key, name) for name in value)
        self._distinct(key, found)
        return found

    def tiers(self, key: str) -> tuple[tuple[str, ...], ...]:
        """An order, the best first: of JSON [x, [y, z]], or `x > y = z` in a text. DataError where
        missing."""
        value = self.row.values.get(key)
        if value is None:
            raise DataError(f"{self.row.where}: {key} is missing; {self.needs}")
        if isinstance(value, str):
            listed = value.lstrip().startswith("[")
            value = self._json(key, value) if listed else [tier.split("=") for tier in value.split(">")]
        if not isinstance(value, list):
            raise self.error(
                key, value, "a list of names, the best first, in CSV x > y = z or a list of JSON"
            )
        tiers = [tier if isinstance(tier, list) else [tier] for tier in value]
        found = tuple(tuple(self._one(key, name) for name in tier) for tier in tiers)
        if any(not tier for tier in found):
            raise self.error(key, value, "no empty place in an order")
        self._distinct(key, [name for tier in found for name in tier])
        return found

    def texts(self, key: str, candidates: Sequence[str]) -> dict[str, str]:
        """Candidate -> text: a list in the order of the candidates, or an object; of CSV as JSON. {} if
        missing."""
        value = self.row.values.get(key)
        if value is None:
            return {}
        if isinstance(value, str):
            value = self._json(key, value)
        if isinstance(value, list) and len(value) != len(candidates):
            raise DataError(
                f"{self.row.where}: {key} has {len(value)} entries, and {len(candidates)} are candidates"
            )
        pairs = value if isinstance(value, Mapping) else None
        if isinstance(value, list):
            pairs = dict(zip(candidates, value, strict=True))
        if pairs is None or not all(isinstance(text, str) for text in pairs.values()):
            raise self.error(key, value, "a list of texts, one a candidate, or {candidate: text}")
        for name in pairs:
            self.check(key, name, candidates)
        return {str(name): str(text) for name, text in pairs.items()}

    def check(self, key: str, name: str, known: Sequence[str], noun: str = "candidate") -> None:
        """DataError with the nearest guess for a name that is none of those known."""
        if name not in known:
            raise DataError(f"{self.row.where}: {key}: {unknown_name(noun, name, known)}")

    def _one(self, key: str, name: Any) -> str:
        name = _written(name)
        if not isinstance(name, str) or not name.strip():
            raise self.error(key, name, "names that are not empty")
        return str(name).strip()

    def _distinct(self, key: str, names: Sequence[str]) -> None:
        twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
        if twice is not None:
            raise DataError(f"{self.row.where}: {key} names {twice!r} twice")

    def _json(self, key: str, text: str) -> Any:
        try:
            return json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            raise self.error(key, text, "JSON where it begins as JSON") from None


def _written(value: Any) -> Any:
    """A number as text, as JSON and CSV have it; of Parquet they have types."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
