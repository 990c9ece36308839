"""The two files of one cell: its predictions, appended, and its summary, replaced by rename."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from icl.errors import DataError, StorageError
from icl.experiments.folder.disk import append, read_mapping, write_whole
from icl.experiments.folder.lines import from_line, plain, to_line
from icl.experiments.records import Cell, CellResult
from icl.types import NO_USAGE, Prediction, Usage

SYNC_SECONDS = 1.0
USAGE_FIELDS = 5
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in <id>.json."""

    complete: bool
    predictions: int
    """Lines of a complete cell."""
    queries: int | None
    """Of the test set that its demonstrations were chosen for; None in folders of format 1."""
    digest: str | None
    """Of the lines of a complete cell; None in folders of format 1."""
    selection_usage: Usage
    selection_seconds: float
    metrics: Mapping[str, float]
    notes: Mapping[str, Any]
    environments: tuple[str, ...] = ()
    """See CellResult."""


class CellWriter:
    """Appends predictions of one cell of `queries` predictions; `finish` makes them final.

    environment: the key of that in which they are made.
    """

    def __init__(self, folder: Path, cell: Cell, queries: int, environment: str = "") -> None:
        self.cell = cell
        self.queries = queries
        self._environment = environment
        self._folder = folder
        self._path = folder / f"{cell.id}.jsonl"
        data = self._path.read_bytes() if self._path.exists() else b""
        predictions, whole = parse_lines(data)
        if len(data) != whole:
            os.truncate(self._path, whole)  # the torn last line of a process that was killed
        self.written = self._found = len(predictions)
        """Lines on disk or about to be."""
        self._held = [_short(line) for line in data[:whole].splitlines(keepends=True)]
        """Of the lines that were found."""
        self._changed: dict[int, bytes] = {}
        """Lines that came out otherwise than they were found."""
        self._given, self._digest = 0, hashlib.blake2b(digest_size=DIGEST_BYTES)
        """Predictions that were given one after another from the first on, and the digest of their lines."""
        self._waiting: list[str] = []
        self._synced = time.monotonic()

    @property
    def started(self) -> Summary | None:
        """The summary as it stands: with the cost of choosing the demonstrations as first measured."""
        try:
            return read_summary(self._folder, self.cell)
        except DataError:
            return None

    @property
    def is_elsewhere(self) -> bool:
        """Whether what is there was made in other environments only."""
        kept = self.started
        return kept is not None and self._environment not in kept.environments

    def start(self, result: CellResult) -> None:
        """Writes the cell down with its selection cost, before any prediction of this process."""
        self._write_summary(result, 0, None)

    def append(self, index: int, prediction: Prediction) -> None:
        """Prediction `index` of the test set, in order; those already on disk are not written again."""
        if index > self.written:
            raise ValueError(f"prediction {index} of {self.cell.id} comes before {self.written}")
        line = to_line(prediction) + "\n"
        data = line.encode()
        if index == self._given:
            self._given += 1
            self._digest.update(data)
        if index < self._found and _short(data) != self._held[index]:
            self._changed[index] = data
        if index < self.written:
            return
        self._waiting.append(line)
        self.written += 1
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Brings what waits to the disk. After an OSError a part of it may stand there: the writer then
        takes no more, and the next one goes on at the last whole line."""
        self._synced = time.monotonic()
        waiting, self._waiting = self._waiting, []
        if waiting:
            append(self._path, "".join(waiting))

    def finish(self, result: CellResult) -> None:
        """Makes the cell final. Lines that differ from what is final (a method that looks at the whole
        cell changes them, a lost cache was asked again, they were damaged) are replaced by rename."""
        self.sync()
        text = "".join(to_line(p) + "\n" for p in result.predictions).encode()
        if not self._path.exists() or self._path.read_bytes() != text:
            write_whole(self._path, text)
        self.written = len(result.predictions)
        done = replace(result, complete=True)
        self._write_summary(done, len(result.predictions), digest_of(text), result.usage)

    def finish_appended(self, result: CellResult, usage: Usage) -> None:
        """The same where all predictions were appended, from the first on, and stand as they are: `result`
        need not hold them. usage: theirs together. StorageError where the file is not what was written."""
        self.sync()
        if self._given != self.queries:
            raise ValueError(f"{self._given} of {self.queries} predictions of {self.cell.id} were appended")
        digest, held = self._digest.hexdigest(), self._path.read_bytes()
        if digest_of(held) != digest:
            lines = held.splitlines(keepends=True)[: self.queries]
            text = b"".join(self._changed.get(index, line) for index, line in enumerate(lines))
            if digest_of(text) != digest:
                raise StorageError(f"{self._path}: another program has changed it while it was written")
            write_whole(self._path, text)
        self.written = self.queries
        self._write_summary(replace(result, complete=True), self.queries, digest, usage)

    def _write_summary(
        self, result: CellResult, predictions: int, digest: str | None, usage: Usage = NO_USAGE
    ) -> None:
        record = {
            "cell": self.cell.plain,
            "complete": result.complete,
            "predictions": predictions,
            "queries": self.queries,
            "digest": digest,
            "metrics": dict(result.metrics),
            "usage": asdict(usage),
            "selection_usage": list(asdict(result.selection_usage).values()),
            "selection_seconds": round(result.selection_seconds, 3),
            "notes": dict(result.notes),
            "environments": self._environments(),
        }
        text = json.dumps(record, indent=2, ensure_ascii=False, default=plain) + "\n"
        write_whole(self._folder / f"{self.cell.id}.json", text)

    def _environments(self) -> list[str]:
        """This one, and those of lines that were there before."""
        kept = self.started
        earlier = kept.environments if kept is not None and self._found else ()
        return list(dict.fromkeys([*earlier, *([self._environment] if self._environment else [])]))


def digest_of(lines: bytes) -> str:
    """Of a cell's lines: 128 bits, hexadecimal."""
    return hashlib.blake2b(lines, digest_size=DIGEST_BYTES).hexdigest()


def _short(line: bytes) -> bytes:
    """Tells a line from another."""
    return hashlib.blake2b(line, digest_size=8).digest()


def read_cell(folder: Path, cell: Cell, queries: int | None = None) -> CellResult:
    """One cell with what there is of it. It is complete with all `queries` (None: as many as were
    written); a complete one whose lines are not those that were written is damaged, and so is one
    whose summary cannot be read. Raises OSError."""
    path = folder / f"{cell.id}.jsonl"
    try:
        summary = read_summary(folder, cell)
    except DataError as error:
        return CellResult(cell, read_lines(path)[0], damage=str(error))
    data = path.read_bytes() if path.exists() else b""
    predictions, whole = parse_lines(data)
    unread = _unread(path, data, whole, len(predictions))
    if summary is None:
        return CellResult(cell, predictions, unread=unread)
    damage = _damage(summary, path, data, len(predictions)) if summary.complete else ""
    return CellResult(
        cell=cell,
        predictions=predictions,
        selection_usage=summary.selection_usage,
        selection_seconds=summary.selection_seconds,
        metrics={} if damage else summary.metrics,
        complete=summary.complete and not damage and queries in (None, len(predictions)),
        notes={} if damage else summary.notes,
        environments=summary.environments,
        damage=damage,
        unread=unread,
    )


def count_cell(folder: Path, cell: Cell) -> tuple[int, Summary | None, str]:
    """Line ends of a cell, its summary, and what is wrong with either, or "". Parses no prediction; a last
    line without its end is that of a process at work, or of one that was killed. Raises OSError."""
    path = folder / f"{cell.id}.jsonl"
    summary, damage = None, ""
    try:
        summary = read_summary(folder, cell)  # first: one that is complete comes after all its lines
    except DataError as error:
        damage = str(error)
    data = path.read_bytes() if path.exists() else b""
    lines = data.count(b"\n")
    if summary is not None and summary.complete:
        damage = _damage(summary, path, data, lines)
    return lines, summary, damage


def _unread(path: Path, data: bytes, whole: int, lines: int) -> str:
    """What stands behind the first `whole` bytes, or ""."""
    if whole == len(data):
        return ""
    if data.find(b"\n", whole) == -1:
        return f"{path}: line {lines + 1}, the last one, is half-written and left out"
    left = data.count(b"\n", whole) + (not data.endswith(b"\n"))
    return f"{path}: line {lines + 1} cannot be read; it and all behind it are left out ({left} in all)"


def _damage(summary: Summary, path: Path, data: bytes, whole: int) -> str:
    """What is wrong with the lines of a complete cell, or ""."""
    if summary.digest is not None and summary.digest != digest_of(data):
        return f"{path}: its {whole} lines are not those that were written"
    if whole != summary.predictions:
        return f"{path}: holds {whole} whole lines, not the {summary.predictions} that were written"
    return ""


def read_summary(folder: Path, cell: Cell) -> Summary | None:
    """The cell's summary; None before there is one. DataError where it is damaged or another cell's."""
    path = folder / f"{cell.id}.json"
    try:
        record = read_mapping(path)
    except FileNotFoundError:
        return None
    try:
        if record["cell"] != cell.plain:
            raise DataError(f"{path}: is the summary of another cell")
        usage, seconds = record["selection_usage"], float(record["selection_seconds"])
        if len(usage) != USAGE_FIELDS or not all(isinstance(n, int | float) for n in (*usage, seconds)):
            raise ValueError(f"selection_usage is {usage!r}")
        return Summary(
            complete=record["complete"] is True,
            predictions=int(record["predictions"]),
            queries=None if record.get("queries") is None else int(record["queries"]),
            digest=None if record.get("digest") is None else str(record["digest"]),
            selection_usage=Usage(*usage),
            selection_seconds=seconds if math.isfinite(seconds) else 0.0,
            metrics={str(name): float(value) for name, value in record["metrics"].items()},
            notes=dict(record["notes"]),
            environments=tuple(str(key) for key in record.get("environments", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def read_lines(path: Path) -> tuple[tuple[Prediction, ...], int]:
    """Predictions up to the first line that is not whole, and the bytes they take."""
    try:
        return parse_lines(path.read_bytes())
    except FileNotFoundError:
        return (), 0


def find_line(path: Path, query: str) -> Prediction | None:
    """The first whole line of one query, found by its id, which each line begins with."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    for ascii_only in (False, True):
        name = json.dumps(query, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        for space in (b"", b" "):  # as an older json wrote half a surrogate pair
            start = b'{"query_id":' + space + name
            at = 0 if data.startswith(start) else data.find(b"\n" + start) + 1
            if at or data.startswith(start):
                found, _ = parse_lines(data[at : data.find(b"\n", at) + 1])
                return found[0] if found else None
    return None


def parse_lines(data: bytes) -> tuple[tuple[Prediction, ...], int]:
    """As `read_lines`, of what a file holds."""
    predictions: list[Prediction] = []
    whole = 0
    with no_collection():
        for line in data.splitlines(keepends=True):
            try:
                if not line.endswith(b"\n"):
                    break
                predictions.append(from_line(line.decode()))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                break
            whole += len(line)
    return tuple(predictions), whole


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the search for cycles: lines of JSON hold none, and while a million objects are made and kept,
    looking through them again and again takes nearly as long as making them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
