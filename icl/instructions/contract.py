"""What a generator of instruction rows is given, and what it owes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from icl import seeding
from icl.errors import ConfigError, nearest
from icl.instructions.rows import InstructionRow
from icl.registry import Registry
from icl.tasks.readers.files import read_file
from icl.tasks.rows import Row
from icl.types import Request, Response

if TYPE_CHECKING:
    from icl.tasks import TaskData

Asking: TypeAlias = Generator[list[Request], list[Response], None]
"""A generator at work: yields requests, is sent their responses; rows go to `Work.keep` as they are made."""


@dataclass(frozen=True)
class Place:
    """Where a recipe stands: files are found beside it first, then from the current folder."""

    folder: Path
    load: Callable[[str], TaskData]
    """A task by name or file, with its rows."""

    def path(self, name: str) -> Path:
        """The file, whether it is there or not."""
        beside = self.folder / name
        return beside if beside.exists() else Path(name)

    def there(self, name: str, key: str) -> Path:
        """The file. ConfigError naming `key` where there is none, with the nearest name."""
        found = self.path(name)
        if found.is_file():
            return found
        folder = (self.folder / name).parent
        near = nearest(found.name, [p.name for p in folder.glob("*")] if folder.is_dir() else [])
        hint = f". Did you mean {near!r}?" if near else ""
        raise ConfigError(f"{key}: {name!r}: no such file{hint}")

    def rows(self, name: str, key: str) -> list[Row]:
        """The rows of a file. ConfigError where it is missing, DataError where it cannot be read."""
        return list(read_file(self.there(name, key)).rows)


@dataclass
class Work:
    """One part of a recipe while its rows are made."""

    name: str
    seed: int
    place: Place
    keep: Callable[[InstructionRow], bool]
    """Takes a row; False where it is left out (it overlaps a test set)."""
    reject: Callable[[str, str], None]
    """(rule, what was rejected): counted, with examples, and shown in the card."""
    room: Callable[[str, int], int]
    """(prompt, wanted) -> tokens that may be written after it, at most `wanted`."""
    model: str = ""
    """Whose answers these are."""
    rehearsal: bool = False
    """Answers mean nothing: what depends on them is made up, so that as much is asked."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What a reader of the card should know."""

    def generator(self, purpose: str, item: str = "") -> np.random.Generator:
        """A stream of its own for each purpose and item."""
        return seeding.generator(self.seed, f"instructions {self.name} {purpose}", item)

    def request_seed(self, *item: object) -> int:
        """For a request that samples."""
        return seeding.stream_key(self.seed, f"instructions {self.name}", "/".join(map(str, item))) % 2**63


class RowGenerator(Protocol):
    """Makes instruction rows. The constructor checks and stores; nothing is read before `check`."""

    asks: bool
    """Whether it asks a model."""

    def check(self, place: Place) -> None:
        """Reads what it goes by. IclError for whatever is wrong with it, before a model loads."""
        ...

    def reads(self, place: Place) -> str:
        """Changes whenever what is read does."""
        ...

    def make(self, work: Work) -> Asking:
        """The rows, one after another. What is made depends on the seed and on the answers alone."""
        ...


row_generators: Registry[RowGenerator] = Registry("generator", ("icl.instructions.generators",), RowGenerator)


def digest_of(place: Place, *names: str) -> str:
    """Of files that are read."""
    found = []
    for name in names:
        with place.path(name).open("rb") as file:
            found.append(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest())
    return ";".join(found)


def text_digest(*texts: str) -> str:
    """16 hexadecimal digits of texts."""
    total = hashlib.blake2b(digest_size=8)
    for text in texts:
        total.update(text.encode("utf-8", "surrogatepass") + b"\x1f")
    return total.hexdigest()
