"""A pool of workers behind the face of a model.

What asks a model does not see it: requests are cut into tasks, handed out as workers come free, and their
answers passed on as they come. A task whose worker is lost is tried again for what it had not answered.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from icl.errors import ModelError
from icl.executors.contract import Answered, Failed, Finished, Job, Kind, Lost
from icl.executors.sharing import share
from icl.executors.team import Team
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.types import GenerateRequest, Generation, ScoreRequest, Scores

log = logging.getLogger("icl")

TRIES = 3
"""Workers that a task may lose before the run ends."""


@dataclass(slots=True)
class _Task:
    """Requests of a call that are left of a task. `where[i]`: the place in the call of request i."""

    name: str
    where: list[int]
    lost: int = 0


class PooledModel:
    """`LanguageModel` that asks the workers of a team, all of which hold the same model."""

    def __init__(self, team: Team, tokenizer: Tokenizer) -> None:
        """The team has opened the model; tokenizer: that of the model, in this process."""
        self._team = team
        self.tokenizer = tokenizer
        self.name = team.facts.name
        self.context_length = team.facts.context_length
        self.fingerprint = team.facts.fingerprint
        self._told: Callable[[int], None] = lambda tokens: None
        self._calls = 0

    @property
    def engine(self) -> str:
        """What computes, for the manifest of a run."""
        return f"{self._team.engine} in {self._team.words}"

    def report_to(self, told: Callable[[int], None]) -> None:
        """See Reporting."""
        self._told = told

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel. Raises ModelError where a task has lost too many workers."""
        return self._ask("score", requests, on_result)

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel. Raises ModelError where a task has lost too many workers."""
        return self._ask("generate", requests, on_result)

    def _ask(self, kind: Kind, requests: Sequence[Any], on_result: Any) -> list[Any]:
        if not requests:
            return []
        self._calls += 1
        groups, report = share(kind, requests, self.tokenizer, self._team.workers)
        self._team.account.cut(report, len(groups))
        tasks = deque(
            _Task(f"{self._calls}.{number}", list(map(int, group))) for number, group in enumerate(groups, 1)
        )
        call = _Call(self._team, kind, requests, on_result, self._told)
        try:
            return call.run(tasks)
        except BaseException:
            self._team.abandon()
            raise


class _Call:
    """One call of the pool at work."""

    def __init__(
        self, team: Team, kind: Kind, requests: Sequence[Any], on_result: Any, told: Callable[[int], None]
    ) -> None:
        self._team, self._kind, self._requests = team, kind, requests
        self._on_result, self._told = on_result, told
        self._results: list[Any] = [None] * len(requests)
        self._at: dict[int, tuple[int, _Task]] = {}
        """Worker -> the job it is at, and the task that the job is of."""

    def run(self, tasks: deque[_Task]) -> list[Any]:
        """Until every request is answered."""
        while tasks or self._at:
            for worker in self._team.idle():
                if not tasks or worker in self._at:
                    continue
                task = tasks.popleft()
                job = Job(
                    self._team.next_number(), self._kind, tuple(self._requests[index] for index in task.where)
                )
                self._at[worker] = (job.number, task)
                self._team.give(worker, job)
            for event in self._team.events():
                if isinstance(event, Lost):
                    self._lost(event, tasks)
                elif isinstance(event, Answered):
                    self._answered(event)
                elif isinstance(event, Finished):
                    self._finished(event)
                elif isinstance(event, Failed):
                    self._failed(event)
        return self._results

    def _task_of(self, worker: int, job: int) -> _Task | None:
        held = self._at.get(worker)
        return held[1] if held is not None and held[0] == job else None

    def _answered(self, event: Answered) -> None:
        self._told(event.tokens)
        task = self._task_of(event.worker, event.job)
        if task is None:
            return
        for index, answer in event.answers:
            place = task.where[index]
            if self._results[place] is None:
                self._results[place] = answer
                if self._on_result is not None:
                    self._on_result(place, answer)

    def _finished(self, event: Finished) -> None:
        task = self._task_of(event.worker, event.job)
        if task is None:
            return
        missing = [place for place in task.where if self._results[place] is None]
        if missing:
            raise ModelError(f"worker {event.worker} left requests {missing[:5]} unanswered: a bug of icl")
        del self._at[event.worker]

    def _failed(self, event: Failed) -> None:
        task = self._task_of(event.worker, event.number)
        if task is not None:
            raise self._team.failure(event, task.where)

    def _lost(self, event: Lost, tasks: deque[_Task]) -> None:
        held = self._at.pop(event.worker, None)
        if held is None:
            return
        task = held[1]
        left = [place for place in task.where if self._results[place] is None]
        task.lost += 1
        count = f"task {task.name} ({len(left)} of {len(task.where)} requests left)"
        if task.lost >= TRIES:
            raise ModelError(
                f"{count} has lost {task.lost} workers, the last of them worker {event.worker}, which "
                f"{event.reason}. What was answered is kept; --batch and --max-memory make tasks smaller"
            )
        log.warning("worker %d %s; %s is tried again", event.worker, event.reason, count)
        if left:
            self._team.account.retried += 1
            tasks.appendleft(_Task(task.name, left, task.lost))
