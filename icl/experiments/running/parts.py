"""A session over a folder whose parts are finished one by one: locked, written down, refused in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from icl.errors import StorageError
from icl.experiments.folder.environment import environment
from icl.experiments.folder.lock import FolderLock
from icl.experiments.folder.manifest import now
from icl.experiments.running.progress import Meter
from icl.experiments.running.session import how_it_ended, what_was_refused


class Folder(Protocol):
    """Of a corpus, a red teaming, a study."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def manifest(self) -> dict[str, Any]:
        """What stands in it; empty where there is none."""
        ...

    def update_manifest(self, **entries: Any) -> None:
        """Puts entries in place of those of the same names."""
        ...


@contextlib.contextmanager
def held(folder: Folder, meter: Meter, noun: str) -> Iterator[FolderLock]:
    """A lock for the block to take. What the machine refuses is a StorageError: finished `noun` are kept."""
    lock = FolderLock()
    try:
        yield lock
    except OSError as error:
        refused = what_was_refused(error, folder.path)
        raise StorageError(f"{refused}. Finished {noun} are kept; the same command goes on") from error
    finally:
        meter.stop()
        lock.release()


@contextlib.contextmanager
def session_in(
    folder: Folder, meter: Meter, first: dict[str, Any], last: Callable[[], dict[str, Any]] = dict
) -> Iterator[None]:
    """Writes `first` into the manifest, and when the block ends, however, the session and `last()`."""
    made = {"created": now(), "sessions": []} if not folder.manifest else {}
    folder.update_manifest(**made, **first)
    began, ended = now(), "complete"
    try:
        yield
    except BaseException as error:
        ended = how_it_ended(error)
        raise
    finally:
        session = {"began": began, "ended": now(), "ended_by": ended, "computed": asdict(meter.computed)}
        sessions = [*folder.manifest.get("sessions", []), session]
        folder.update_manifest(sessions=sessions, **last(), **environment())
