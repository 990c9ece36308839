"""A run that tells trackers its numbers. One that fails is told no more, and the run goes on."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from icl.errors import DataError
from icl.experiments.folder.cellfile import read_summary
from icl.experiments.folder.placing import CELLS
from icl.experiments.folder.store import RunFolder
from icl.experiments.records import Cell
from icl.experiments.running.progress import Meter
from icl.printable import one_line, shortened
from icl.tracking import Tracker

log = logging.getLogger("icl")

EVERY = 10.0
"""Seconds between two looks at the folder, at least."""
SHARE = 20.0
"""And at least so many times what a look takes."""
SECRET = frozenset(
    {"key", "keys", "apikey", "token", "secret", "secrets", "password", "credential", "credentials", "auth"}
)
"""Words in the names of settings whose values go nowhere."""


class Tracked:
    """A display that passes on how far the run is, and the metrics of each cell once it is complete."""

    def __init__(
        self, trackers: Mapping[str, Tracker], folder: RunFolder, settings: Mapping[str, Any]
    ) -> None:
        self._trackers = dict(trackers)
        self._folder = folder
        self._settings = settings
        self._left: list[Cell] = []
        self._next = 0.0
        self._began = False

    def start(self, meter: Meter) -> None:
        """Opens them, unless there is nothing left to do."""
        if meter.found == meter.total:
            return
        self._began = True
        self._left = self._folder.cells()
        said = flat(self._settings)
        self._each(lambda tracker: tracker.start(self._folder.name, self._folder.path, said))

    def note(self, text: str) -> None:
        """Not for trackers."""

    def changed(self, meter: Meter) -> None:
        """Tells the numbers now and then."""
        if self._began and self._trackers and time.monotonic() >= self._next:
            self._tell(meter)

    def stop(self, meter: Meter) -> None:
        """Tells the last numbers and closes them."""
        if self._began:
            self._tell(meter)
            self._each(lambda tracker: tracker.stop(complete=meter.done >= meter.total))
            self._began = False

    def _tell(self, meter: Meter) -> None:
        began = time.monotonic()
        progress = {
            "progress/predictions": float(meter.done),
            "progress/near_ties": float(meter.near_ties),
            "progress/tokens": float(meter.tokens),
        }
        if meter.tokens:
            progress["progress/tokens_per_second"] = meter.tokens_per_second
        self._each(lambda tracker: tracker.log(progress, meter.done))
        for cell, values in self._completed():
            self._each(lambda tracker, v=values, s=cell.seed: tracker.log(v, s))  # type: ignore[misc]
        now = time.monotonic()
        self._next = now + max(EVERY, SHARE * (now - began))

    def _completed(self) -> Sequence[tuple[Cell, dict[str, float]]]:
        """Cells that have become complete since the last look, with their metrics."""
        found, left = [], []
        for cell in self._left:
            try:
                summary = read_summary(self._folder.path / CELLS, cell)
            except (DataError, OSError):
                summary = None
            if summary is None or not summary.complete:
                left.append(cell)
                continue
            where = f"{cell.model}/{cell.task}/{cell.setting}"
            values = {
                f"{name}/{where}": value for name, value in summary.metrics.items() if math.isfinite(value)
            }
            found.append((cell, values))
        self._left = left
        return found

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                act(tracker)
            except Exception as error:  # whatever a library raises: a run is worth more
                del self._trackers[name]
                log.warning(
                    "tracker %s failed and is told no more; the run goes on and its folder has all (%s)",
                    name,
                    shortened(f"{type(error).__name__}: {_without_credentials(one_line(str(error)))}"),
                )


def _without_credentials(text: str) -> str:
    """Of addresses, whatever stands in front of the host."""
    return re.sub(r"//[^/@\s]*@", "//***@", text)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted key -> value as text. Keys that name a secret are left out, at any depth."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if _is_secret(key):
            continue
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(_public(value))
    return found


def _is_secret(key: object) -> bool:
    """ "api_key" and "apiKey" are, "max_tokens" is not."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", str(key)).lower()
    return not SECRET.isdisjoint(re.split(r"[^a-z0-9]+", words))


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _public(item) for key, item in value.items() if not _is_secret(key)}
    if isinstance(value, list | tuple):
        return [_public(item) for item in value]
    return _without_credentials(value) if isinstance(value, str) else value
