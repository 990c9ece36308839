"""A run that tells its folder how far it is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from icl.experiments.folder.disk import write_whole
from icl.experiments.folder.progress import PROGRESS, here
from icl.experiments.running.progress import Meter

EVERY = 2.0
"""Seconds between two writings, at least."""


class ProgressFile:
    """A display that is a file, for `icl status`. Raises OSError, after which the meter tells it no more."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._step = ""
        self._began = time.time()
        self._next = 0.0
        self._meter: Meter | None = None

    def start(self, meter: Meter) -> None:
        """See Display."""
        self._began = time.time()
        self._meter = meter
        self._write(meter)

    def note(self, text: str) -> None:
        """What the run is at from here on."""
        self._step = text
        if self._meter is not None:
            self._write(self._meter)

    def changed(self, meter: Meter) -> None:
        """Writes now and then."""
        if time.monotonic() >= self._next:
            self._write(meter)

    def stop(self, meter: Meter) -> None:
        """The last word."""
        if self._meter is not None:
            self._write(meter, ended=True)

    def _write(self, meter: Meter, *, ended: bool = False) -> None:
        self._next = time.monotonic() + EVERY
        record: dict[str, Any] = {
            **here(),
            "began": self._began,
            "ended": ended,
            "total": meter.total,
            "found": meter.found,
            "done": meter.done,
            "reached": meter.reached,
            "step": meter.training or self._step,
            "tokens": meter.tokens,
            "tokens_per_second": meter.tokens_per_second if meter.tokens else 0.0,
            "seconds_left": meter.seconds_left,
        }
        write_whole(self._path, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
