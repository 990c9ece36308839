"""Model responses kept in one SQLite file, shared by all runs of an output folder.

A process that is killed loses at most the responses of the last second: they are committed in
small batches, in write-ahead mode. Several processes may use one file at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from icl.database import Database

COMMIT_SECONDS = 0.5
COMMIT_ENTRIES = 5_000


class ResponseStore:
    """Key (16 bytes) -> response (JSON text). `path` None keeps everything in memory.

    See `icl.database` for what becomes of a damaged file or value. `read_only`: for looking again at a
    run that is over. Raises StorageError where the file cannot be used.
    """

    def __init__(self, path: Path | None = None, *, read_only: bool = False) -> None:
        self.path = path
        self._kept = Database(path, "responses", "value", "response cache", read_only=read_only)
        self._buffer: dict[bytes, str] = {}
        self._committed = time.monotonic()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The responses that are there."""
        found = {key: self._buffer[key] for key in keys if key in self._buffer}
        missing = [key for key in keys if key not in found]
        found.update((key, str(value)) for key, value in self._kept.get(missing).items())
        return found

    def put(self, key: bytes, value: str) -> None:
        """Keeps a response; it is on disk within a second of engine time, or after `commit`."""
        self._buffer[key] = value
        if len(self._buffer) >= COMMIT_ENTRIES or time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def distrust(self, key: bytes) -> None:
        """The response of `key` cannot be read: the next one takes its place."""
        self._kept.distrust(key)

    def commit(self) -> None:
        """Writes what is buffered."""
        self._committed = time.monotonic()
        if self._buffer:
            self._kept.put(self._buffer.items())
            self._buffer.clear()

    def close(self) -> None:
        """Writes what is buffered and lets go of the file."""
        try:
            self.commit()
        finally:
            self._kept.close()

    def __len__(self) -> int:
        self.commit()
        return len(self._kept)
