"""Predictions as lines of JSON and back. What is at its default is left out of a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, fields
from typing import Any

import numpy as np

from icl.types import NO_USAGE, Dropped, Prediction, Usage

_ALWAYS = ("query_id", "demonstrations", "answer", "gold", "correct", "usage")


def plain(value: Any) -> Any:
    """For `json.dumps(default=...)`: numpy numbers, sets (sorted) and mappings."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r}")


def to_line(prediction: Prediction) -> str:
    """One line, without its line end."""
    record: dict[str, Any] = {}
    for field in fields(Prediction):
        value = getattr(prediction, field.name)
        if field.name == "usage":
            value = astuple(value)
        elif field.name == "dropped":
            value = [[d.id, d.reason] for d in value]
        elif field.name == "why":
            value = [dict(reasons) for reasons in value] if any(value) else []
        if value or field.name in _ALWAYS:
            record[field.name] = value
    line = json.dumps(record, ensure_ascii=False, default=plain, separators=(",", ":"))
    # Half a surrogate pair cannot be written as UTF-8.
    return line if line.isascii() or _encodes(line) else json.dumps(record, default=plain)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_line(line: str) -> Prediction:
    """The prediction of a line. Raises ValueError or KeyError for a line that is not whole."""
    record = json.loads(line)
    return Prediction(
        query_id=record["query_id"],
        demonstrations=tuple([(str(i), score) for i, score in record["demonstrations"]]),
        answer=record["answer"],
        gold=record["gold"],
        correct=bool(record["correct"]),
        output=record.get("output", ""),
        label_scores=record.get("label_scores", {}),
        dropped=tuple(Dropped(*d) for d in record.get("dropped", ())),
        flags=tuple(record.get("flags", ())),
        why=tuple(record.get("why", ())),
        details=record.get("details", {}),
        usage=Usage(*record["usage"]) if record["usage"] else NO_USAGE,
    )
