"""Engines that take turns, each in a process of its own: neither caches nor weights nor what the environment
says are shared, and what the machine does meanwhile meets them all alike."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Protocol

from icl.bench.candidates import Candidate, Measured
from icl.bench.networks import load_plain
from icl.bench.settings import PYTHON, Settings
from icl.bench.workloads import Workload
from icl.errors import IclError, ModelError

ENVIRONMENT = {PYTHON: {"ICL_NATIVE": "0"}}
"""What the process of an engine is told besides."""


class Measures(Protocol):
    """What takes turns."""

    name: str

    def measure(self, workload: Workload) -> Measured:
        """One run. Raises ModelError where the engine cannot be asked."""
        ...


class Apart:
    """A candidate in a process of its own. Raises ModelError where it cannot be asked, or ends."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, name, settings), daemon=True)
        self._process.start()
        other.close()
        self._receive()  # it is loaded

    def measure(self, workload: Workload) -> Measured:
        """As of `Candidate`."""
        self._connection.send(workload)
        found = self._receive()
        assert isinstance(found, Measured)
        return found

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def _receive(self) -> object:
        try:
            found: object = self._connection.recv()
        except EOFError:
            self._process.join()
            raise ModelError(
                f"the process of {self.name} ended (exit code {self._process.exitcode}): not enough memory?"
            ) from None
        if isinstance(found, Exception):
            raise found
        return found


def _serve(connection: Connection, name: str, settings: Settings) -> None:
    """The process of one engine: loads it, then times what it is sent until nobody sends any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends this one
    os.environ.update(ENVIRONMENT.get(name, {}))  # before anything looks for the kernels
    try:
        candidate = Candidate(name, load_plain(settings.model, settings.dtype), settings)
    except IclError as error:
        connection.send(_plain(error))
        return
    connection.send(None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            workload = connection.recv()
            try:
                connection.send(candidate.measure(workload))
            except IclError as error:
                connection.send(_plain(error))


def _plain(error: IclError) -> ModelError:
    """Without what it holds, which may not travel."""
    return ModelError(str(error))


@contextlib.contextmanager
def apart(names: Sequence[str], settings: Settings) -> Iterator[list[Apart]]:
    """A process for each name, ended with the block."""
    with contextlib.ExitStack() as opened:
        found = []
        for name in names:
            found.append(Apart(name, settings))
            opened.callback(found[-1].close)
        yield found


def take_turns(
    candidates: Sequence[Measures],
    workload: Workload,
    rounds: int,
    refused: Callable[[str, ModelError], None],
) -> dict[str, list[Measured]]:
    """Name -> what each round measured; the next round begins with the next engine. Who cannot run the
    workload is told to `refused` once, and has no rounds."""
    found: dict[str, list[Measured]] = {one.name: [] for one in candidates}
    for number in range(rounds):
        shift = number % len(candidates)
        for one in (*candidates[shift:], *candidates[:shift]):
            if one.name not in found:
                continue
            try:
                found[one.name].append(one.measure(workload))
            except ModelError as error:
                del found[one.name]
                refused(one.name, error)
    return found
