"""Findings and parameters as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any, lost: list[str] | None = None, path: str = "") -> Any:
    """As JSON gives it back: numbers of numpy and torch, arrays and tuples as plain ones, keys as texts.

    JSON has no nan and no infinities: None stands in their place, and `lost` is told where.
    TypeError for what has no plain form.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, lost, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, lost, f"{path}[{at}]") for at, item in enumerate(value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), lost, path)
    if isinstance(value, float) and not math.isfinite(value):
        if lost is not None:
            lost.append(path.lstrip("."))
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{path.lstrip('.') or 'the value'} is of type {type(value).__name__}, not plain JSON")
