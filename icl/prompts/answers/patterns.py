"""Regular expressions that are compiled when they are first used: commands that read no output need none."""

from __future__ import annotations

import re
from typing import Any, cast


class _Lazy:
    """Stands for a `re.Pattern`, and has its methods from the first use on."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        setattr(self, name, found)  # the next use costs what a pattern's own method costs
        return found


def lazy(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile`, later. A pattern that cannot be compiled raises `re.error` at its first use."""
    return cast("re.Pattern[str]", _Lazy(pattern, flags))
