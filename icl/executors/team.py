"""The workers of a session: started once, given one model after another, replaced where they are lost."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from icl.errors import IclError, ModelError, retold
from icl.executors.contract import (
    Crew,
    Errand,
    Event,
    Executor,
    Facts,
    Failed,
    Finished,
    Job,
    Logged,
    Lost,
    Opened,
    Opener,
    Opening,
    Placed,
)
from icl.executors.cutting import CutReport

log = logging.getLogger("icl")

LOOK_SECONDS = 1.0
"""How long is waited for an event before it is looked whether there can be any."""
OPENING_TRIES = 3
"""Workers that may be lost one after another while they open a model."""


@dataclass
class Account:
    """What a session did with its workers, for manifest and status."""

    tasks: int = 0
    tokens_once: int = 0
    tokens_repeated: int = 0
    retried: int = 0
    """Tasks that were tried again."""
    lost: list[str] = field(default_factory=list)
    """Workers that were, and how."""

    def cut(self, report: CutReport, tasks: int) -> None:
        """Requests have been cut."""
        self.tasks += tasks
        self.tokens_once += report.tokens_once
        self.tokens_repeated += report.tokens_repeated

    @property
    def repeated(self) -> float:
        """Share of the tokens that were forwarded more than once."""
        return self.tokens_repeated / self.tokens_once if self.tokens_once else 0.0

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "tasks": self.tasks,
            "tokens_once": self.tokens_once,
            "tokens_repeated": self.tokens_repeated,
            "retried": self.retried,
            "lost": list(self.lost),
        }


class Team:
    """name: of the executor, for messages. Nothing starts before the first model is opened."""

    def __init__(self, name: str, executor: Executor) -> None:
        self.name = name
        self.executor = executor
        self.account = Account()
        self.workers = executor.workers or 0
        self._threads = 0
        self._crew: Crew | None = None
        self._opening = Opening(0, None)
        self._facts: Facts | None = None
        self._engine = ""
        self._ready: set[int] = set()
        """Workers that hold the model and wait."""
        self._busy: set[int] = set()
        self._stale: set[int] = set()
        """Workers at a job that nobody waits for any more."""
        self._silent: dict[int, float] = {}
        """Workers at work, and for how many seconds of waiting nothing has been heard of each."""
        self._opening_lost: dict[int, int] = {}
        self._holders: int | None = None
        """Workers that are to hold it: the first so many; None: all."""
        self._numbers = 0
        self._said: set[str] = set()

    @property
    def facts(self) -> Facts:
        """Of the model that all workers hold. ModelError before there is one."""
        if self._facts is None:
            raise ModelError("no worker holds a model yet: this is a bug of icl")
        return self._facts

    @property
    def engine(self) -> str:
        """What computes in the workers, in words."""
        return self._engine

    @property
    def words(self) -> str:
        """ "2 processes of 1 thread"."""
        noun = "processes" if self.name == "processes" else f"workers of {self.name}"
        threads = f" of {self._threads} thread{'s' * (self._threads != 1)}" if self._threads else ""
        return f"{self.workers} {noun}{threads}"

    @property
    def begun(self) -> dict[str, Any]:
        """For the manifest of a session that has begun: a driver that is killed leaves no counts."""
        return {"executor": self.name, "workers": self.workers, "threads": self._threads}

    @property
    def plain(self) -> dict[str, Any]:
        """For the manifest of a session that has ended."""
        return self.begun | self.account.plain

    def threads_for(self, errands: int) -> int:
        """Threads of each worker while so many are at work side by side; 0: those that it has anyway."""
        if not self.executor.one_machine or not self._threads:
            return 0
        return self._threads * self.workers // max(1, min(errands, self.workers))

    def hold(self, opener: Opener, most: int | None = None) -> None:
        """All workers, or so many, open this model; returns when the first has. Raises IclError where none
        can."""
        self._opening, self._facts = Opening(self.next_number(), opener), None
        self._holders = most
        self._ready.clear()
        self._opening_lost.clear()
        self._begin()
        while self._facts is None:
            self.events()

    def widen(self, most: int) -> None:
        """So many workers in all open what the first hold."""
        assert self._crew is not None
        before = self.workers if self._holders is None else self._holders
        self._holders = min(max(most, before), self.workers)
        for worker in range(before + 1, self._holders + 1):
            self._open(worker)

    def rest(self) -> None:
        """The workers let go of their model."""
        self._opening, self._facts = Opening(self.next_number(), None), None
        self._ready.clear()
        if self._crew is not None:
            self._begin()

    def _begin(self) -> None:
        """Workers that are there open the model; else they are started."""
        if self._crew is None:
            self._crew, self.workers, self._threads = self.executor.start()
        for worker in self._stale:
            self._crew.start(worker)
        self._stale.clear()
        for worker in range(1, self.workers + 1):
            self._open(worker)

    def _open(self, worker: int) -> None:
        """What it is to hold. On a cluster it may wait for a place first."""
        assert self._crew is not None
        holds = self._holders is None or worker <= self._holders
        opening = self._opening if holds else Opening(self._opening.number, None)
        self._silent.pop(worker, None)
        if opening.opener is not None and self.executor.one_machine:
            self._silent[worker] = 0.0
        self._crew.open(worker, opening)

    def idle(self) -> Sequence[int]:
        """Workers that hold the model and have nothing to do; started again where they were stopped."""
        if self._crew is None:
            self._begin()
        for worker in self._stale:
            self._another(worker)
        self._stale.clear()
        return sorted(self._ready)

    def _another(self, worker: int) -> None:
        """Starts one in its place, with the model."""
        assert self._crew is not None
        self._crew.start(worker)
        self._open(worker)

    def abandon(self) -> None:
        """What workers are at is of no use any more: others take their place when the team is next asked."""
        self._stale |= self._busy
        for worker in self._busy:
            self._silent.pop(worker, None)
        self._busy.clear()

    def next_number(self) -> int:
        """For a job or an opening."""
        self._numbers += 1
        return self._numbers

    def give(self, worker: int, job: Job | Errand) -> None:
        """To a worker that is idle."""
        self._ready.discard(worker)
        self._busy.add(worker)
        self._silent[worker] = 0.0
        assert self._crew is not None
        self._crew.give(worker, job)

    def events(self) -> list[Event]:
        """What has happened, in a moment or so. What concerns the team alone is dealt with: workers that are
        lost are replaced, what they log is said once. Raises IclError where the model cannot be opened."""
        assert self._crew is not None
        found = self._heard()
        for event in found:
            if isinstance(event, Opened) and event.opening == self._opening.number:
                self._opened(event)
            elif isinstance(event, Failed) and event.number == self._opening.number:
                raise self.failure(event)
            elif isinstance(event, Finished | Failed):
                self._free(event)
            elif isinstance(event, Lost):
                self._lost(event)
            elif isinstance(event, Logged) and event.text not in self._said:
                self._said.add(event.text)
                log.log(event.level, "%s", event.text)
        return found

    def _heard(self) -> list[Event]:
        """Events, those of workers of which nothing was heard for too long among them. Only the time that is
        spent on waiting counts: a driver that was busy has not listened."""
        assert self._crew is not None
        began = time.monotonic()
        found = list(self._crew.events(LOOK_SECONDS))
        waited = time.monotonic() - began
        told = {event.worker for event in found}
        for event in found:
            if isinstance(event, Placed):
                self._silent[event.worker] = 0.0
            elif isinstance(event, Opened | Finished | Failed | Lost):
                self._silent.pop(event.worker, None)
        limit = self.executor.lost_after
        for worker in list(self._silent):
            self._silent[worker] = 0.0 if worker in told else self._silent[worker] + waited
            if limit is not None and self._silent[worker] > limit:
                del self._silent[worker]
                found.append(Lost(worker, f"gave no sign of life for {limit:g} s and was ended"))
        return found

    def _free(self, event: Finished | Failed) -> None:
        """The worker has come to the end of a job, of an earlier call perhaps."""
        if event.worker in self._busy and event.worker not in self._stale:
            self._busy.discard(event.worker)
            self._ready.add(event.worker)
        if isinstance(event, Finished):
            self._engine = event.engine

    def _opened(self, event: Opened) -> None:
        if self._facts is None:
            self._facts, self._engine = event.facts, event.facts.engine
            self._threads = self._threads or event.facts.threads
        elif event.facts.model != self._facts.model:
            raise ModelError(
                f"workers hold different models: {self._facts.fingerprint} on {self._facts.place}, "
                f"{event.facts.fingerprint} on {event.facts.place}; files or precision (dtype) differ"
            )
        self._opening_lost.pop(event.worker, None)
        self._ready.add(event.worker)

    def _lost(self, event: Lost) -> None:
        """Another takes its place."""
        self.account.lost.append(f"worker {event.worker}: {event.reason}")
        self._ready.discard(event.worker)
        self._busy.discard(event.worker)
        times = self._opening_lost[event.worker] = self._opening_lost.get(event.worker, 0) + 1
        if times > OPENING_TRIES:
            raise ModelError(
                f"worker {event.worker} {event.reason} {times} times before it had opened the model; is "
                f"there memory for {self.workers} of them?"
            )
        self._another(event.worker)

    def failure(self, event: Failed, places: Sequence[int] = ()) -> IclError:
        """The error of a worker as one process would have raised it. places: of the job's requests in the
        call, by which messages name them."""
        if event.trace:
            log.debug("worker %d: %s", event.worker, event.trace)

        def named(match: re.Match[str]) -> str:
            at = int(match[2])
            return f"{match[1]} request {places[at] if at < len(places) else at}"

        return retold(event.error, re.sub(r"\b(score|generate) request (\d+)", named, str(event.error)))

    def stop(self) -> None:
        """Ends all workers. The next call starts others."""
        crew, self._crew = self._crew, None
        for workers in (self._ready, self._busy, self._stale, self._silent):
            workers.clear()
        if crew is not None:
            crew.close()

    close = stop
