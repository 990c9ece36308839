"""Model files that lie on the driver's machine, for workers on nodes that do not have them.

A node that has the same files under the same path reads them there, and nothing travels. On another the first
worker fetches them, piece by piece, into the cache of icl; the others of that node wait and find them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from icl.cache import cache_folder
from icl.engine.loading.sources import MOVED, file_digest, resolve
from icl.errors import ModelError
from icl.executors.contract import Held, Opener

PIECE = 64 * 2**20
"""Bytes that travel at once."""
READ = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model", "*.jinja")
"""Of a folder."""

Fetch = Callable[[str, int, int], bytes]
"""File, first byte, how many: what stands there on the driver's machine."""


@runtime_checkable
class Needing(Protocol):
    """What an opener may offer: names of the models that it reads."""

    @property
    def needs(self) -> tuple[str, ...]:
        """As the user wrote them."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """A model that is a folder or a file, as it is on the driver's machine."""

    model: str
    """As the user wrote it."""
    place: str
    """Of the folder, or the file."""
    held: tuple[tuple[str, int, str], ...]
    """Name within the place, size in bytes, digest; of a single file the name is empty."""

    @property
    def digest(self) -> str:
        """Of all files."""
        return hashlib.blake2b(repr(self.held).encode(), digest_size=16).hexdigest()


def files_of(opener: Opener) -> tuple[Files, ...]:
    """What the opener reads of this machine. Raises ModelError where it is not there."""
    found = []
    for model in opener.needs if isinstance(opener, Needing) else ():
        source = resolve(model)
        if source.kind in ("folder", "gguf"):
            place = Path(source.location) / (source.gguf_file or "")
            found.append(Files(model, str(place), listed(place)))
    return tuple(found)


def listed(place: Path) -> tuple[tuple[str, int, str], ...]:
    """See Files.held; nothing where the place is not there."""
    if place.is_file():
        return (("", place.stat().st_size, file_digest(place)),)
    paths = sorted({path for pattern in READ for path in place.glob(pattern) if path.is_file()})
    return tuple((path.name, path.stat().st_size, file_digest(path)) for path in paths)


def brought(files: Files, fetch: Fetch) -> Path:
    """Where the same files are on this machine; fetched where they are not. Raises ModelError where what was
    fetched is not what was listed, OSError."""
    own = Path(os.path.expanduser(files.model))
    if own.exists() and listed(own) == files.held:
        return own
    folder = cache_folder() / "carried" / files.digest
    target = folder / Path(files.place).name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_suffix(".lock")):
        if not folder.is_dir():
            draft = folder.with_suffix(".part")
            shutil.rmtree(draft, ignore_errors=True)
            try:
                _write(files, draft / target.name, fetch)
                os.replace(draft, folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return target


def _write(files: Files, target: Path, fetch: Fetch) -> None:
    for name, size, _ in files.held:
        path = target / name if name else target
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            for first in range(0, size, PIECE):
                out.write(fetch(name, first, min(PIECE, size - first)))
    if listed(target) != files.held:
        raise ModelError(f"model {files.model!r}: its files have changed while they were sent to a node")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process of this machine at a time."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Source:
    """What a process on the driver's machine does: reads pieces of what was listed, and nothing else."""

    def __init__(self, all_files: tuple[Files, ...]) -> None:
        self._held = {
            (files.model, name): Path(files.place) / name for files in all_files for name, _, _ in files.held
        }

    def read(self, model: str, name: str, first: int, size: int) -> bytes:
        """Bytes of a file."""
        with self._held[model, name].open("rb") as file:
            file.seek(first)
            return file.read(size)


@dataclass(frozen=True, slots=True)
class Bringing:
    """An opener whose model's files are brought first. read: as of `Source`, from wherever it is called."""

    opener: Opener
    files: tuple[Files, ...]
    read: Any

    def open(self) -> Held:
        """Raises IclError."""
        for files in self.files:

            def fetch(name: str, first: int, size: int, model: str = files.model) -> bytes:
                return bytes(self.read(model, name, first, size))

            try:
                MOVED[files.model] = str(brought(files, fetch))
            except OSError as error:
                raise ModelError(f"model {files.model!r} cannot be brought to this node: {error}") from error
        return self.opener.open()
