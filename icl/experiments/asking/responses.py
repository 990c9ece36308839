"""Model responses kept in one SQLite file, shared by all runs of an output folder.

A process that is killed loses at most the responses of the last second: they are committed in
small batches, in write-ahead mode. Several processes may use one file at once.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from icl.errors import IclError

log = logging.getLogger(__name__)

COMMIT_SECONDS = 0.5
COMMIT_ENTRIES = 5_000
TABLE = "CREATE TABLE IF NOT EXISTS responses (key BLOB PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
KEYS_A_QUERY = 500
"""SQLite limits the parameters of one statement."""


class ResponseStore:
    """Key (16 bytes) -> response (JSON text). `path` None keeps everything in memory.

    A file that is damaged is moved aside with a message, and a new one begun: the cache only
    saves time, every response in it can be asked again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._buffer: dict[bytes, str] = {}
        self._committed = time.monotonic()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            self._move_aside(error)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path or ":memory:", timeout=60.0, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(TABLE)
            db.execute("SELECT key, value FROM responses LIMIT 1").fetchall()
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Only damage is mended so; a locked file or a full disk is the user's to know."""
        if self.path is None or isinstance(error, sqlite3.OperationalError):
            raise IclError(f"the response cache {self.path} cannot be used: {error}") from error
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.path.replace(aside)
        log.warning(
            "The response cache %s is damaged (%s). Moved to %s; a new one is begun.", self.path, error, aside
        )

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The responses that are there."""
        found = {key: self._buffer[key] for key in keys if key in self._buffer}
        missing = [key for key in keys if key not in found]
        try:
            for low in range(0, len(missing), KEYS_A_QUERY):
                some = missing[low : low + KEYS_A_QUERY]
                marks = ",".join("?" * len(some))
                found.update(
                    self._db.execute(f"SELECT key, value FROM responses WHERE key IN ({marks})", some)
                )
        except sqlite3.DatabaseError as error:
            self._begin_again(error)
        return found

    def put(self, key: bytes, value: str) -> None:
        """Keeps a response; it is on disk within a second of engine time, or after `commit`."""
        self._buffer[key] = value
        if len(self._buffer) >= COMMIT_ENTRIES or time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Writes what is buffered."""
        self._committed = time.monotonic()
        if not self._buffer:
            return
        try:
            self._write(self._buffer.items())
        except sqlite3.DatabaseError as error:
            self._begin_again(error)
            self._write(self._buffer.items())
        self._buffer.clear()

    def _write(self, items: Iterable[tuple[bytes, str]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            # The first answer stays: another process may have asked the same at the same time.
            self._db.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?)", items)
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _begin_again(self, error: sqlite3.DatabaseError) -> None:
        self._db.close()
        self._move_aside(error)
        self._db = self._connect()

    def close(self) -> None:
        """Writes what is buffered and lets go of the file."""
        self.commit()
        self._db.close()

    def __len__(self) -> int:
        self.commit()
        return int(self._db.execute("SELECT COUNT(*) FROM responses").fetchone()[0])
