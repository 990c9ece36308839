"""Plain data -> compressed blocks, which a browser unpacks one by one when they are needed."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

LEVEL = 6
"""Of gzip: 9 takes three times as long for 2 % less."""
DIGITS = 6
"""Significant digits of the numbers of single predictions; rows keep all of theirs."""


def short(value: Any) -> Any:
    """A finite number with DIGITS digits, None and whole numbers as they are, another one as its name."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def short_numbers(value: Any) -> Any:
    """`short` of every number in nested data."""
    if isinstance(value, float):
        return short(value)
    if isinstance(value, Mapping):
        return {str(key): short_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [short_numbers(item) for item in value]
    return value


def to_json(value: Any) -> str:
    """JSON that JavaScript reads: no NaN, no half of a surrogate pair as it is."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def pack(value: Any) -> bytes:
    """Compressed JSON, the same bytes for the same data."""
    return gzip.compress(to_json(value).encode(), LEVEL, mtime=0)


def codes(values: Sequence[str | None]) -> tuple[list[str], list[int]]:
    """(the different values in order of appearance, a number into them a value; -1: None)."""
    numbers: dict[str, int] = {}
    found = [-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values]
    return list(numbers), found
