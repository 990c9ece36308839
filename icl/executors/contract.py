"""What an executor is: where workers come from, and what passes between them and the driver.

The driver is the process that runs the experiment. It alone writes: workers get requests and send answers.
"""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from icl.components import check_number
from icl.errors import IclError
from icl.outside import code_is_allowed
from icl.protocols import Tokenizer
from icl.registry import Registry
from icl.types import Request, Response

Kind = Literal["score", "generate"]


class Held(Protocol):
    """What a worker holds: a model, or a network that is to be trained."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own."""
        ...

    @property
    def context_length(self) -> int:
        """Longest sequence in tokens."""
        ...

    @property
    def fingerprint(self) -> str:
        """As of LanguageModel."""
        ...


class Opener(Protocol):
    """Opens a model in a worker. It travels there by pickle: plain data and paths, never a network."""

    def open(self) -> Held:
        """Raises IclError."""
        ...


class Act(Protocol):
    """Something that a worker does with what it holds, beside answering. It travels there by pickle."""

    def do(self, held: Any, say: Callable[[Any], None]) -> Any:
        """The outcome, in plain data and tensors. say: tells the driver how far it is, in plain data. Raises
        IclError."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is told before anything else, in plain data that every version of icl can read."""

    version: str
    environment: dict[str, str]
    """Variables ICL_* of the driver."""
    path: tuple[str, ...]
    """Where the driver finds modules."""
    code_allowed: bool

    @classmethod
    def here(cls) -> Settings:
        """Of this process."""
        own = {name: value for name, value in os.environ.items() if name.startswith("ICL_")}
        return cls(version(), own, tuple(sys.path), code_is_allowed())


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker holds, and where. All workers of a pool must hold the same model."""

    name: str
    fingerprint: str
    tokenizer: str
    """Its fingerprint."""
    context_length: int
    engine: str
    threads: int
    place: str
    """Host and process, in words."""

    @property
    def model(self) -> tuple[str, str, str, int]:
        """What two workers must have in common."""
        return self.name, self.fingerprint, self.tokenizer, self.context_length


@dataclass(frozen=True, slots=True)
class Opening:
    """A model to be opened in place of the one that a worker holds; None: none. Jobs, errands and openings of
    a team are numbered together."""

    number: int
    opener: Opener | None


@dataclass(frozen=True, slots=True)
class Job:
    """Requests that are answered together by one worker."""

    number: int
    kind: Kind
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Errand:
    """Something else than requests that one worker does."""

    number: int
    act: Act
    threads: int = 0
    """So many meanwhile; 0: as many as the worker has."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A worker is there, and begins to open."""

    worker: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker has opened its model, and waits."""

    worker: int
    opening: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Answered:
    """Some requests of a job are final. tokens: forwarded since the last such event."""

    worker: int
    job: int
    answers: tuple[tuple[int, Response], ...]
    """Index within the job, and the answer."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Said:
    """How far an errand is: what its act has said since the last such event."""

    worker: int
    job: int
    what: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A job or an errand is over, and the worker waits."""

    worker: int
    job: int
    engine: str
    """What computed, in words."""
    outcome: Any = None
    """Of an errand."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker lives, and cannot do what it was told."""

    worker: int
    number: int
    """Of the job, the errand or the opening."""
    error: IclError
    trace: str = ""
    """Of what is no IclError, for debugging."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A line that the engine would have logged in the driver's process."""

    worker: int
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker is gone. reason: how, in words."""

    worker: int
    reason: str


Event: TypeAlias = Placed | Opened | Answered | Said | Finished | Failed | Logged | Lost


class Crew(Protocol):
    """Workers that have been started, by number from 1. Only `events` and `close` wait for anything."""

    def start(self, worker: int) -> None:
        """Starts it, or another in its place."""
        ...

    def open(self, worker: int, opening: Opening) -> None:
        """`Opened` or `Failed` follows; nothing where none is opened."""
        ...

    def give(self, worker: int, job: Job | Errand) -> None:
        """A job or an errand for a worker that waits."""
        ...

    def events(self, timeout: float) -> Sequence[Event]:
        """What has happened; waits so many seconds at most. Raises ModelError where all workers are out of
        reach for good."""
        ...

    def close(self) -> None:
        """Ends all workers, whatever they do."""
        ...


class Executor(Protocol):
    """Where the requests of a grid run. The constructor checks and stores; nothing starts before `start`."""

    @property
    def one_machine(self) -> bool:
        """Whether all workers are on the driver's: they see its files, and share its memory."""
        ...

    @property
    def workers(self) -> int | None:
        """How many; None: as many as the machines have room for, known once it has started."""
        ...

    @property
    def lost_after(self) -> float | None:
        """Seconds without a sign of life after which a worker at work is taken to be lost; None: never."""
        ...

    def check(self) -> None:
        """Raises ConfigError for what is known to be missing, such as a package."""
        ...

    def start(self) -> tuple[Crew, int, int]:
        """A crew, the number of its workers, and the threads of each. Raises ModelError."""
        ...


LOST_AFTER = 3600.0
"""Seconds: longer than any model takes to load, or a step of training."""


def check_lost_after(seconds: float | None) -> None:
    """ValueError for what is no time."""
    if seconds is not None:
        check_number("lost_after", seconds, low=1)


executors: Registry[Executor] = Registry("executor", ("icl.executors",), Executor)


@cache
def version() -> str:
    """Of icl in this process: the number, and a digest of the source, since a checkout keeps its number."""
    root = Path(__file__).parents[1]
    digest = blake2b(digest_size=4)
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    try:
        number = importlib.metadata.version("icl")
    except importlib.metadata.PackageNotFoundError:
        number = "?"
    return f"{number} ({digest.hexdigest()})"


def packed(message: Any) -> bytes:
    """By plain pickle: that of multiprocessing would share a tensor's memory, which no process but its own
    children can open."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
