"""progress.json of a run folder: how far the session is that writes there, for whoever looks at it meanwhile.

Looking takes no lock. The file is replaced whole every few seconds; nothing is read back from it to go on.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter, ValidationError

from icl.errors import DataError
from icl.experiments.folder.disk import read_mapping

PROGRESS = "progress.json"
SAME_PROCESS = 2.0
"""Seconds between two readings of when a process began, at most."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a session said last. Times are seconds since 1970."""

    pid: int
    host: str
    process_began: float
    began: float
    at: float
    ended: bool
    total: int
    """Predictions of the run."""
    found: int
    """Of an earlier session."""
    done: int
    step: str
    """What it is at, in words."""
    tokens: int
    """Forwarded by the engine since it began."""
    tokens_per_second: float
    seconds_left: float | None
    reached: float = 0.0
    """Predictions that are done, with a share of those that wait for the call under way."""

    @property
    def predictions_per_second(self) -> float:
        """Since it began."""
        return (max(self.reached, self.done) - self.found) / max(self.at - self.began, 1e-9)

    @property
    def runs(self) -> bool | None:
        """Whether its process is there; None where it is on another machine and did not say that it ended."""
        if self.ended:
            return False
        if self.host != platform.node():
            return None
        try:
            began: float = psutil.Process(self.pid).create_time()
        except psutil.Error:
            return False
        return abs(began - self.process_began) < SAME_PROCESS


def here() -> dict[str, Any]:
    """This process, as a Progress names it."""
    own = psutil.Process()
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "process_began": own.create_time(),
        "at": time.time(),
    }


def read_progress(folder: Path) -> Progress | None:
    """What was said last; None where no session said anything, or an older icl wrote the folder."""
    path = folder / PROGRESS
    try:
        return TypeAdapter(Progress).validate_python(read_mapping(path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DataError(f"{path}: is damaged ({error.errors()[0]['msg']}); delete it") from error
