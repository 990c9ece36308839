"""Rows of an earlier benchmark, set beside those of now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.bench.table import Row
from icl.errors import ConfigError

SAME = ("device", "cores", "threads", "torch", "transformers", "model", "dtype", "scale")
"""What ratios of two runs take for granted."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A file that `icl bench --json` wrote."""

    path: Path
    machine: Mapping[str, Any]
    seconds: Mapping[tuple[str, str, str], float]
    """(workload, engine, dtype) -> seconds of the whole workload."""

    def compare(self, rows: Sequence[Row]) -> None:
        """Fills `ratio_then` of every row that the file has too."""
        for row in rows:
            then = self.seconds.get((row.workload, row.engine, row.dtype))
            row.ratio_then = None if then is None else then / row.seconds

    def said(self, rows: Sequence[Row], machine: Mapping[str, Any]) -> list[str]:
        """Lines below the table: what the ratios are, what else was different, what cannot be compared."""
        lines = [f"x then: seconds of {self.path} / seconds, so that more than 1 is faster now."]
        other = [
            f"{key}: {self.machine[key]}, now {machine[key]}"
            for key in SAME
            if key in self.machine and key in machine and self.machine[key] != machine[key]
        ]
        if other:
            lines.append(f"Not the same as in {self.path.name}: {'; '.join(other)}.")
        alone = [f"{r.workload} ({r.engine}, {r.dtype})" for r in rows if r.ratio_then is None]
        if alone:
            lines.append(f"Not in {self.path.name}: {', '.join(alone)}.")
        return lines


def read_earlier(path: Path) -> Earlier:
    """Raises ConfigError naming file and key."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--against: {path} is not readable as JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("rows"), list):
        raise ConfigError(
            f"--against: {path} has no list 'rows'; needed is a file that icl bench --json wrote"
        )
    seconds = {}
    for at, row in enumerate(data["rows"]):
        try:
            key = (str(row["workload"]), str(row["engine"]), str(row["dtype"]))
            seconds[key] = float(row["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"--against: {path}: rows[{at}] is no row of icl bench: {error!r}") from None
        if not seconds[key] > 0:
            raise ConfigError(
                f"--against: {path}: rows[{at}].seconds is {row['seconds']!r}; allowed: above 0"
            )
    machine = data.get("machine")
    return Earlier(path, machine if isinstance(machine, dict) else {}, seconds)
