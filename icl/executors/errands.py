"""Errands side by side: each worker has one at a time, and what a lost worker was at is begun again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from icl.errors import IclError, ModelError
from icl.executors.contract import Act, Errand, Failed, Finished, Lost, Said
from icl.executors.pool import TRIES
from icl.executors.team import Team

log = logging.getLogger("icl")


class Follower(Protocol):
    """Who is told how far errands are, each by its place in the call."""

    def began(self, place: int) -> None:
        """A worker has it, perhaps not for the first time."""
        ...

    def said(self, place: int, what: Any) -> None:
        """What its act said."""
        ...


@dataclass(slots=True)
class _Task:
    place: int
    name: str
    act: Act
    lost: int = 0


def carry_out(
    team: Team, acts: Sequence[tuple[str, Act]], follower: Follower
) -> Generator[tuple[int, Any | IclError]]:
    """(place, outcome or error) of each act as it comes; one that fails keeps no other back. acts: with their
    names, for messages.

    An act whose worker is lost is begun again, and ends in a ModelError where it has lost `TRIES` of them. On
    one machine it then has that to itself, since it may have been memory that ended the worker.
    """
    call = _Call(team, follower, deque(_Task(i, name, act) for i, (name, act) in enumerate(acts)))
    try:
        yield from call.run()
    except BaseException:  # GeneratorExit too: what is under way is of no use
        team.abandon()
        raise


class _Call:
    def __init__(self, team: Team, follower: Follower, waiting: deque[_Task]) -> None:
        self._team, self._follower, self._waiting = team, follower, waiting
        self._threads = team.threads_for(len(waiting))
        self._alone = team.executor.one_machine
        self._at: dict[int, tuple[int, _Task]] = {}
        """Worker -> the errand it is at, and the task that it is of."""

    def run(self) -> Iterator[tuple[int, Any | IclError]]:
        """Until nothing is left."""
        while self._waiting or self._at:
            for worker in self._team.idle():
                if worker not in self._at and (task := self._next()) is not None:
                    self._give(worker, task)
            for event in self._team.events():
                if isinstance(event, Lost):
                    yield from self._lost(event)
                elif isinstance(event, Said) and (told := self._task_of(event.worker, event.job)):
                    for what in event.what:
                        self._follower.said(told.place, what)
                elif isinstance(event, Finished) and (done := self._task_of(event.worker, event.job)):
                    del self._at[event.worker]
                    yield done.place, event.outcome
                elif isinstance(event, Failed) and (failed := self._task_of(event.worker, event.number)):
                    del self._at[event.worker]
                    yield failed.place, self._team.failure(event)

    def _next(self) -> _Task | None:
        """Those that have lost a worker stand behind the others, and have their machine to themselves."""
        if not self._waiting:
            return None
        at_work = [task for _, task in self._at.values()]
        if self._alone and at_work and any(task.lost for task in (*at_work, self._waiting[0])):
            return None
        return self._waiting.popleft()

    def _give(self, worker: int, task: _Task) -> None:
        errand = Errand(self._team.next_number(), task.act, self._threads)
        self._at[worker] = (errand.number, task)
        self._follower.began(task.place)
        self._team.give(worker, errand)

    def _task_of(self, worker: int, errand: int) -> _Task | None:
        held = self._at.get(worker)
        return held[1] if held is not None and held[0] == errand else None

    def _lost(self, event: Lost) -> Iterator[tuple[int, IclError]]:
        held = self._at.pop(event.worker, None)
        if held is None:
            return
        task = held[1]
        task.lost += 1
        if task.lost >= TRIES:
            yield (
                task.place,
                ModelError(
                    f"{task.name} has lost {task.lost} workers, the last of them worker {event.worker}, "
                    f"which {event.reason}; is there memory for it?"
                ),
            )
            return
        log.warning("worker %d %s; %s is tried again", event.worker, event.reason, task.name)
        self._team.account.retried += 1
        self._waiting.append(task)
