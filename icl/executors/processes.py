"""Worker processes on this machine, each spoken to through a pair of sockets that nobody else holds.

A worker is started fresh and not forked: a fork would copy locks and threads of torch. It does not run the
program's main file again, as `multiprocessing` would. It is in a session of its own, so that Ctrl-C reaches
the driver alone, and ends when its socket closes: with the driver, in whatever way that ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import IO, Any

import psutil

from icl.components import check_number
from icl.errors import ConfigError
from icl.executors.contract import (
    LOST_AFTER,
    Crew,
    Errand,
    Event,
    Job,
    Lost,
    Opening,
    Settings,
    check_lost_after,
    executors,
    packed,
)

log = logging.getLogger("icl")

ENDS_WITHIN = 5.0
"""Seconds that a worker has to end once its socket is closed."""
COUNTS_OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
QUOTED = 2000
"""Bytes of a lost worker's errors that are looked at."""


@executors.register("processes")
class Processes:
    """Processes on this machine, which divide its processors among them.

    workers: how many, each with the model in memory. Weights that are read as they lie in a file are there
    once (the system's page cache); what an engine packs for its kernels each has for itself. lost_after:
    seconds without a sign of life (an answer, forwarded tokens, a step of training, a line of the log) after
    which a worker is taken to be lost; None: never.
    """

    one_machine = True

    def __init__(self, *, workers: int = 2, lost_after: float | None = LOST_AFTER) -> None:
        check_number("workers", workers, low=1, whole=True)
        check_lost_after(lost_after)
        self.workers = workers
        self.lost_after = lost_after

    def check(self) -> None:
        """See Executor."""
        if os.name != "posix":
            raise ConfigError("'processes' needs a POSIX system; leave executor out on this one")

    def start(self) -> tuple[Crew, int, int]:
        """See Executor."""
        warn_of_crowd(self.workers)
        threads = max(1, available_threads() // self.workers)
        crew = ProcessCrew(threads)
        for worker in range(1, self.workers + 1):
            crew.start(worker)
        return crew, self.workers, threads


def available_threads() -> int:
    """OMP_NUM_THREADS where it is set, else the processors that this process may use."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told):
        return int(told)
    return processors()


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warn_of_crowd(workers: int) -> None:
    """Says once, before they are started, that there are more workers than processors on this machine."""
    own = processors()
    if workers > own:
        free = psutil.virtual_memory().available
        log.warning(
            "%d workers on %d processor%s: they take turns, and each holds the model; %.1f GiB of memory are "
            "free, %.2f GiB for each",
            workers,
            own,
            "s" * (own != 1),
            free / 2**30,
            free / workers / 2**30,
        )


class ProcessCrew:
    """See Crew."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._links: dict[int, _Link] = {}
        self._settings = Settings.here()

    def start(self, worker: int) -> None:
        """See Crew."""
        if (old := self._links.pop(worker, None)) is not None:
            old.end()
        self._links[worker] = _Link(worker, self._threads)
        self._send(worker, self._settings)

    def open(self, worker: int, opening: Opening) -> None:
        """See Crew."""
        self._send(worker, ("open", opening))

    def give(self, worker: int, job: Job | Errand) -> None:
        """See Crew."""
        self._send(worker, ("take", job))

    def _send(self, worker: int, message: Any) -> None:
        """One that is gone is found out by `events`."""
        with contextlib.suppress(OSError):
            self._links[worker].connection.send_bytes(packed(message))

    def events(self, timeout: float) -> Sequence[Event]:
        """See Crew. A worker is never ahead by more than its socket holds."""
        links = {link.connection: link for link in self._links.values() if not link.gone}
        found: list[Event] = []
        for ready in wait(list(links), timeout):
            link = links[ready]  # type: ignore[index]
            try:
                found.append(pickle.loads(link.connection.recv_bytes()))
            except (EOFError, OSError, pickle.UnpicklingError):  # also cut off half-way
                found.append(Lost(link.worker, link.how_it_ended()))
        return found

    def close(self) -> None:
        """See Crew."""
        for link in self._links.values():
            link.connection.close()
        for link in self._links.values():
            link.end()
        self._links.clear()

    @property
    def pids(self) -> dict[int, int]:
        """Worker -> its process."""
        return {worker: link.process.pid for worker, link in self._links.items()}


class _Link:
    """A process and the driver's end of its socket."""

    def __init__(self, worker: int, threads: int) -> None:
        self.worker = worker
        self.gone = False
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "icl.executors.process", str(theirs.fileno()), str(worker)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                start_new_session=True,
                env=_environment(threads),
            )
        self.connection = Connection(ours.detach())

    def how_it_ended(self) -> str:
        """In words, for a worker whose socket is closed."""
        self.gone = True
        self.end()
        code = self.process.returncode
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"ended by {signal.Signals(-code).name}"
        said = self._last_line()
        return f"ended with exit code {code}" + (f": {said}" if said else "")

    def _last_line(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - QUOTED))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """The process is gone when this returns."""
        self.connection.close()
        try:
            self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _environment(threads: int) -> dict[str, str]:
    """The driver's, with its share of the processors; modules are found where the driver finds them."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return os.environ | dict.fromkeys(COUNTS_OF_THREADS, str(threads)) | {"PYTHONPATH": path}
