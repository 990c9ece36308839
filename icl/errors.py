"""Errors a user can mend. The command line prints them in one line, without a traceback, exit 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from icl.printable import one_line, shortened

LONGEST_NAME = 200
"""Characters: a longer name has no nearest one, and is not compared with all there are."""


class IclError(Exception):
    """Base of every error that is the user's to mend. `str(error)` is the whole message, in one line
    whatever a file or a library put into it."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigError(IclError):
    """An experiment or task file says something that cannot be run."""


class Problems(ConfigError):
    """Independent problems of one file. As text the first of them, and how many more there are."""

    def __init__(self, found: Sequence[IclError]) -> None:
        super().__init__(f"{found[0]} ({len(found) - 1} more: icl check lists all)")
        self.found = tuple(found)


class Collector:
    """Where problems go that are looked for side by side: `with collector.one(): ...` for each.

    The first is raised at once, unless all are wanted: then `finish` raises them together.
    """

    def __init__(self, *, wants_all: bool = False) -> None:
        self.found: list[IclError] = []
        self.wants_all = wants_all

    @contextmanager
    def one(self) -> Iterator[None]:
        """What is the user's to mend in the block ends the block only."""
        try:
            yield
        except IclError as error:
            if not self.wants_all:
                raise
            self.found.append(error)

    def finish(self) -> None:
        """Raises what was found, if anything."""
        if self.found:
            raise one_or_several(self.found)


class DataError(IclError):
    """A data file is missing, empty, or holds a row that does not fit its task."""


class ModelError(IclError):
    """A model cannot be found, read or run exactly."""


class StorageError(IclError):
    """The machine refuses a file or folder: the disk is full, the place read-only, gone or not a folder."""


class RequestError(ModelError):
    """A request to a model says something that cannot be answered."""


class ContextOverflow(IclError):
    """A prompt is longer than the model's context window."""


def retold(error: IclError, text: str) -> IclError:
    """An error of the same family with another text, and without the traceback, which holds what it met."""
    families = (ModelError, DataError, StorageError, ContextOverflow)
    return next((family for family in families if isinstance(error, family)), ConfigError)(text)


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `name` by edit similarity, or None where none comes near."""
    if len(str(name)) > LONGEST_NAME:
        return None
    hits = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.5)
    return hits[0] if hits else None


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> str:
    """One line: what was given, the nearest guess, what is allowed."""
    names = sorted(allowed)
    guess = nearest(name, names)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"unknown {kind} {shortened(repr(name))}.{hint} Allowed: {', '.join(names)}"


def one_or_several(found: Sequence[IclError]) -> IclError:
    """The error itself where there is one only; those that are several themselves are taken apart."""
    flat = [one for error in found for one in (error.found if isinstance(error, Problems) else (error,))]
    distinct = list({str(error): error for error in flat}.values())
    return distinct[0] if len(distinct) == 1 else Problems(distinct)
