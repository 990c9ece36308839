"""What a tracker is, and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from icl.registry import Registry


class Tracker(Protocol):
    """Where the numbers of a run go beside its folder. Whatever it raises ends the telling, never the run."""

    package: str
    """The requirement that it needs, as pip takes it; it is imported in `start` and not before."""

    def start(self, name: str, run: Path, settings: Mapping[str, str]) -> None:
        """A run begins, or goes on. run: its folder; settings: the experiment, without what is secret."""
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """How far it is (step: predictions), or the metrics of a cell (step: its seed)."""
        ...

    def stop(self, *, complete: bool) -> None:
        """It has ended."""
        ...


trackers: Registry[Tracker] = Registry("tracker", ("icl.trackers",), Tracker)
