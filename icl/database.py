"""Values kept by key in one SQLite file: checked when read, healed when damaged, shared by processes.

What is kept here only saves time: every value can be worked out again. So a value that is not the
one that was written counts as missing, and a file that cannot be read is moved aside, what can be
saved of it is saved, and a new one is begun - each with a message.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from icl.errors import StorageError

log = logging.getLogger(__name__)

FORMAT = 2
"""Of the file, as SQLite's user_version. 1 had no checksums and no number."""
WAIT_SECONDS = 60.0
"""For another process that writes."""
KEYS_A_QUERY = 500
"""SQLite limits the parameters of one statement."""
NOT_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)
"""Primary error codes that say something of the machine and nothing of the file's content."""

Value = str | bytes
T = TypeVar("T")


class Database:
    """Key (bytes) -> value, in one table with a checksum a row. `path` None keeps all in memory.

    `what`: the file in words, for messages. `read_only`: nothing is created, healed or written;
    a file that cannot be read so raises StorageError. Raises StorageError, one line, where the
    disk is full, the place cannot be written or another process holds the file for a minute.
    """

    def __init__(self, path: Path | None, table: str, column: str, what: str, *, read_only: bool = False):
        self.path = path
        self._table, self._column, self._what = table, column, what
        self._read_only = read_only
        self._distrusted: set[bytes] = set()
        self._db = self._guarded(self._open)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Value]:
        """The values that are there and are what was written."""
        return self._guarded(lambda: self._healed(lambda: self._get(keys)))

    def put(self, items: Iterable[tuple[bytes, Value]]) -> None:
        """Writes all or, where it raises, none. A key's first value stays: another process may have
        worked the same out at the same time."""
        rows = [(key, value, checksum(key, value)) for key, value in items]
        self._guarded(lambda: self._healed(lambda: self._put(rows)))

    def distrust(self, key: bytes) -> None:
        """The value of `key` is no good: the next one that is put takes its place."""
        self._distrusted.add(key)

    def close(self) -> None:
        """Lets go of the file."""
        self._guarded(self._db.close)

    def __len__(self) -> int:
        query = f"SELECT COUNT(*) FROM {self._table}"
        return int(self._guarded(lambda: self._db.execute(query).fetchone()[0]))

    # reading and writing

    def _get(self, keys: Sequence[bytes]) -> dict[bytes, Value]:
        found: dict[bytes, Value] = {}
        altered = 0
        for low in range(0, len(keys), KEYS_A_QUERY):
            some = keys[low : low + KEYS_A_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, {self._column}, digest FROM {self._table} WHERE key IN ({marks})"
            for key, value, digest in self._db.execute(query, some):
                if key in self._distrusted:
                    continue
                if digest and digest == checksum(key, value):
                    found[key] = value
                else:
                    self.distrust(key)
                    altered += 1
        if altered:
            log.warning(
                "The %s %s holds %d values that are not what was written; they are worked out again.",
                self._what, self.path, altered,
            )  # fmt: skip
        return found

    def _put(self, rows: Sequence[tuple[bytes, Value, bytes]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            again = [row for row in rows if row[0] in self._distrusted]
            self._db.executemany(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?)", again)
            self._db.executemany(f"INSERT OR IGNORE INTO {self._table} VALUES (?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            raise
        self._distrusted.difference_update(key for key, _, _ in again)

    # opening and healing

    def _guarded(self, act: Callable[[], T]) -> T:
        """What the machine says, as one line."""
        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise StorageError(f"the {self._what} {self.path} cannot be used: {said}") from error

    def _healed(self, act: Callable[[], T]) -> T:
        """`act`, once more with a new file where this one turns out to be damaged."""
        try:
            return act()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error) or self._read_only:
                raise
            self._db.close()
            self._db = self._open(suspect=True)
            return act()

    def _open(self, *, suspect: bool = False) -> sqlite3.Connection:
        """`suspect`: every page is looked at, which takes long with a large file."""
        if self.path is None:
            return self._prepared(sqlite3.connect(":memory:", isolation_level=None))
        if self._read_only:
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, timeout=WAIT_SECONDS, isolation_level=None)
            db.text_factory = _text
            return db
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One process at a time creates, converts or heals: SQLite itself does not wait for all of it.
        with _alone(self.path.with_name(self.path.name + ".lock")):
            try:
                return self._connect(suspect)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                aside = self._move_aside(error)
                fresh = self._connect(False)
                self._salvage(aside, fresh)
                return fresh

    def _connect(self, suspect: bool) -> sqlite3.Connection:
        db = sqlite3.connect(str(self.path), timeout=WAIT_SECONDS, isolation_level=None)
        try:
            db.text_factory = _text
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            if suspect and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages do not fit together")
            return self._prepared(db)
        except BaseException:
            db.close()
            raise

    def _prepared(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """With the table of this format."""
        held = int(db.execute("PRAGMA user_version").fetchone()[0])
        if held > FORMAT:
            raise StorageError(
                f"the {self._what} {self.path} was written by a newer icl (its format {held}; this one reads "
                f"{FORMAT} and older): update icl, or choose another output folder"
            )
        if held < FORMAT:
            db.create_function("icl_checksum", 2, checksum, deterministic=True)
            db.execute("BEGIN IMMEDIATE")
            columns = {row[1] for row in db.execute(f"PRAGMA table_info({self._table})")}
            if not columns:
                db.execute(
                    f"CREATE TABLE {self._table} (key BLOB PRIMARY KEY, {self._column} NOT NULL, "
                    "digest BLOB) WITHOUT ROWID"
                )
            elif "digest" not in columns:
                db.execute(f"ALTER TABLE {self._table} ADD COLUMN digest BLOB")
                db.execute(f"UPDATE {self._table} SET digest = icl_checksum(key, {self._column})")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        db.execute(f"SELECT key, {self._column}, digest FROM {self._table} LIMIT 1").fetchall()
        return db

    def _move_aside(self, error: sqlite3.DatabaseError) -> Path:
        assert self.path is not None
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (f"{self.path.name}.damaged-{stamp}{n}" for n in ("", *(f"-{i}" for i in range(2, 100))))
        aside = next(p for name in names if not (p := self.path.with_name(name)).exists())
        beside = self.path.with_name(self.path.name + "-wal")
        if beside.exists():
            beside.replace(aside.with_name(aside.name + "-wal"))
        self.path.with_name(self.path.name + "-shm").unlink(missing_ok=True)
        self.path.replace(aside)
        log.warning(
            "The %s %s is damaged (%s). Moved to %s; a new one is begun.", self._what, self.path, error, aside
        )
        return aside

    def _salvage(self, aside: Path, fresh: sqlite3.Connection) -> None:
        """Takes over the rows of a damaged file that can be read and are what was written: from either
        end up to the damage."""

        def rows(order: str) -> Iterator[tuple[bytes, Value, bytes]]:
            query = f"SELECT key, {self._column}, digest FROM {self._table} ORDER BY key {order}"
            with contextlib.suppress(sqlite3.Error):
                for key, value, digest in old.execute(query):
                    if digest and digest == checksum(key, value):
                        yield key, value, digest

        with contextlib.closing(sqlite3.connect(aside)) as old:
            old.text_factory = _text
            fresh.execute("BEGIN IMMEDIATE")
            for order in ("ASC", "DESC"):
                fresh.executemany(f"INSERT OR IGNORE INTO {self._table} VALUES (?, ?, ?)", rows(order))
            fresh.execute("COMMIT")
        saved = fresh.execute(f"SELECT COUNT(*) FROM {self._table}").fetchone()[0]
        log.warning("Values of the %s that could be saved: %d.", self._what, saved)


def checksum(key: bytes, value: object) -> bytes:
    """8 bytes over key and value, so that a value under another's key is noticed too."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if not isinstance(data, bytes) or not isinstance(key, bytes):
        return b""
    return hashlib.blake2b(data, key=key[:64], digest_size=8).digest()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")  # what is replaced does not fit its checksum


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    if isinstance(error, sqlite3.ProgrammingError):  # of this program, e.g. a file that is closed
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return True
    return (code & 0xFF) not in NOT_DAMAGE


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time. Where the file system has no locks, SQLite's own must do."""
    with open(lock, "a", encoding="utf-8") as handle:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
