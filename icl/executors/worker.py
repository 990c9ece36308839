"""What a worker does, wherever it runs: opens a model, answers jobs, does errands, tells what comes of it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from icl.errors import ConfigError, IclError, ModelError, retold
from icl.executors.contract import (
    Answered,
    Errand,
    Event,
    Facts,
    Failed,
    Finished,
    Held,
    Job,
    Logged,
    Opened,
    Opening,
    Placed,
    Said,
    Settings,
    version,
)
from icl.outside import allow_code
from icl.protocols import Reporting
from icl.types import Response

SEND_SECONDS = 0.25
"""Answers are sent together, at most so long after the first of them."""
SEND_ANSWERS = 256

Tell = Callable[[Event], None]


class Worker:
    """One engine. `tell` takes what happens; it may wait, and then so does the engine."""

    def __init__(self, number: int, settings: Settings, tell: Tell, *, threads: int = 0) -> None:
        """threads: 0 for as many as the environment says."""
        self.number = number
        self._settings = settings
        self._tell = tell
        self._threads = threads
        self._model: Held | None = None
        os.environ.update(settings.environment)
        sys.path += [folder for folder in settings.path if folder not in sys.path]

    def open(self, opening: Opening) -> None:
        """See Crew.open."""
        self._model = None
        gc.collect()
        if opening.opener is None:
            return
        self._tell(Placed(self.number))
        with self._failures(opening.number):
            if version() != self._settings.version:
                raise ConfigError(
                    f"the worker on {place()} runs icl {version()} and this process icl "
                    f"{self._settings.version}: install one version on all nodes"
                )
            with allow_code(self._settings.code_allowed):
                self._set_threads()
                model = self._model = opening.opener.open()
            self._tell(Opened(self.number, opening.number, facts(model)))

    def take(self, job: Job | Errand) -> None:
        """See Crew.give."""
        with self._failures(job.number):
            if self._model is None:
                raise ModelError("the worker holds no model: this is a bug of icl")
            if isinstance(job, Errand):
                self._do(job, self._model)
            else:
                self._answer(job, self._model)

    def _answer(self, job: Job, model: Any) -> None:
        out = _Outbox(self.number, job.number, self._tell)
        if isinstance(model, Reporting):
            model.report_to(out.forwarded)
        ask: Any = model.score if job.kind == "score" else model.generate  # type: ignore[attr-defined]
        for index, answer in enumerate(ask(job.requests, out.add)):
            out.add(index, answer)
        out.send()
        _forget(model)
        self._tell(Finished(self.number, job.number, engine_of(model)))

    def _do(self, errand: Errand, held: Held) -> None:
        speech = _Speech(self.number, errand.number, self._tell)
        with allow_code(self._settings.code_allowed), _using(errand.threads):
            outcome = errand.act.do(held, speech.say)
        speech.send()
        self._tell(Finished(self.number, errand.number, engine_of(held), outcome))

    @contextlib.contextmanager
    def _failures(self, number: int) -> Iterator[None]:
        try:
            yield
        except IclError as error:
            self._tell(Failed(self.number, number, retold(error, str(error))))
        except Exception as error:
            said = ModelError(f"worker {self.number} on {place()}: {type(error).__name__}: {error}")
            self._tell(Failed(self.number, number, said, traceback.format_exc()))

    def _set_threads(self) -> None:
        if self._threads:
            import torch

            torch.set_num_threads(self._threads)


class _Outbox:
    """Gathers answers and sends them in parcels."""

    def __init__(self, worker: int, job: int, tell: Tell) -> None:
        self._worker, self._job, self._tell = worker, job, tell
        self._held: list[tuple[int, Response]] = []
        self._sent: set[int] = set()
        self._tokens = 0
        self._next = time.monotonic() + SEND_SECONDS

    def add(self, index: int, answer: Response) -> None:
        """An answer; one that was added before is not sent again."""
        if index in self._sent:
            return
        self._sent.add(index)
        self._held.append((index, answer))
        self._send_in_time()

    def forwarded(self, tokens: int) -> None:
        """So many tokens more."""
        self._tokens += tokens
        self._send_in_time()

    def _send_in_time(self) -> None:
        if len(self._held) >= SEND_ANSWERS or time.monotonic() >= self._next:
            self.send()

    def send(self) -> None:
        """What is held."""
        self._next = time.monotonic() + SEND_SECONDS
        if self._held or self._tokens:
            self._tell(Answered(self._worker, self._job, tuple(self._held), self._tokens))
            self._held, self._tokens = [], 0


class _Speech:
    """Gathers what an act says and sends it in parcels."""

    def __init__(self, worker: int, errand: int, tell: Tell) -> None:
        self._worker, self._errand, self._tell = worker, errand, tell
        self._held: list[Any] = []
        self._next = 0.0

    def say(self, what: Any) -> None:
        """One thing more."""
        self._held.append(what)
        if time.monotonic() >= self._next:
            self.send()

    def send(self) -> None:
        """What is held."""
        self._next = time.monotonic() + SEND_SECONDS
        if self._held:
            self._tell(Said(self._worker, self._errand, tuple(self._held)))
            self._held = []


@contextlib.contextmanager
def _using(threads: int) -> Iterator[None]:
    """So many threads of torch; 0: those that there are."""
    if not threads:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def forward_log(worker: int, tell: Tell) -> None:
    """From now on what this process logs goes to the driver alone."""
    log = logging.getLogger("icl")
    log.addHandler(_Forward(worker, tell))
    log.propagate = False


class _Forward(logging.Handler):
    """Warnings of the engine go to the driver."""

    def __init__(self, worker: int, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._worker, self._tell = worker, tell

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._tell(Logged(self._worker, record.levelno, record.getMessage()))


def _forget(model: Held) -> None:
    """The fake model keeps all it was asked, for tests in its own process."""
    asked = getattr(model, "requests", None)
    if isinstance(asked, list):
        asked.clear()


def facts(model: Held) -> Facts:
    """Of a model that was opened in this process."""
    return Facts(
        model.name,
        model.fingerprint,
        model.tokenizer.fingerprint,
        model.context_length,
        engine_of(model),
        threads(),
        place(),
    )


def engine_of(model: Held) -> str:
    """What computes, in words."""
    return str(getattr(model, "engine", type(model).__name__))


def threads() -> int:
    """Of torch where it is loaded, else what the environment says, else 1."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() else 1


def place() -> str:
    """Host and process, in words."""
    return f"{platform.node()} (pid {os.getpid()})"
