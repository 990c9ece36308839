"""The pool over workers of the tests' own, which do what they are told to, in this process."""

from __future__ import annotations

import logging
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from icl.engine.fake import FakeModel
from icl.errors import ContextOverflow, ModelError
from icl.executors.contract import Crew, Errand, Event, Failed, Job, Logged, Lost, Opening, Settings
from icl.executors.pool import PooledModel
from icl.executors.team import Team
from icl.executors.worker import Worker
from icl.types import GenerateRequest, ScoreRequest
from tests.executors.openers import Fake

Change = Callable[[int, list[Event]], list[Event]]


class Here:
    """An executor in this process. `change(worker, events)`: what becomes of the events of one act."""

    one_machine = True
    lost_after: float | None = None

    def __init__(self, workers: int, change: Change = lambda worker, events: events) -> None:
        self.workers = workers
        self.change = change
        self.jobs: list[tuple[int, Job]] = []
        self.busy: Counter[int] = Counter()
        self.closed = self._last = 0
        self.started: list[int] = []
        self._events: dict[int, deque[Event]] = {worker: deque() for worker in range(1, workers + 1)}
        self._workers: dict[int, tuple[Worker, list[Event]]] = {}

    def check(self) -> None: ...

    def start(self) -> tuple[Crew, int, int]:
        class HereCrew:
            start = staticmethod(self.begin)
            open = staticmethod(self.open)
            give = staticmethod(self.give)
            events = staticmethod(self.events)
            close = staticmethod(self.close)

        for worker in range(1, self.workers + 1):
            self.begin(worker)
        return HereCrew(), self.workers, 1

    def begin(self, worker: int) -> None:
        self.started.append(worker)
        self._events[worker].clear()
        told: list[Event] = []
        self._workers[worker] = (Worker(worker, Settings.here(), told.append), told)
        self.busy[worker] = 0

    def open(self, worker: int, opening: Opening) -> None:
        self._workers[worker][0].open(opening)
        self._take(worker)

    def give(self, worker: int, job: Job | Errand) -> None:
        self.jobs.append((worker, job))
        self.busy[worker] += 1
        assert self.busy[worker] == 1, "a worker has one job at a time"
        self._workers[worker][0].take(job)
        self._take(worker)

    def _take(self, worker: int) -> None:
        told = self._workers[worker][1]
        self._events[worker] += self.change(worker, list(told))
        told.clear()

    def events(self, timeout: float) -> Sequence[Event]:
        """One at a time, of one worker after another, the last one first."""
        told = [worker for worker, events in self._events.items() if events]
        if not told:
            return []
        self._last = max((w for w in told if w < self._last), default=max(told))
        event = self._events[self._last].popleft()
        if type(event).__name__ in ("Finished", "Failed"):
            self.busy[event.worker] = 0
        return [event]

    def close(self) -> None:
        self.closed += 1
        for events in self._events.values():
            events.clear()


def pool(executor: Here, opener: Fake | None = None) -> PooledModel:
    team = Team("here", executor)
    team.hold(opener or Fake())
    return PooledModel(team, FakeModel().tokenizer)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_answers_are_those_of_the_model_in_the_order_of_the_requests(workers, scoring, writing):
    model, executor = FakeModel(), Here(workers)
    pooled = pool(executor)
    requests = [*scoring(40), *scoring(3)]
    assert pooled.score(requests) == model.score(requests)
    assert pooled.generate(writing(40)) == model.generate(writing(40))
    assert {worker for worker, _ in executor.jobs} == set(range(1, workers + 1))
    asked = Counter(request for _, job in executor.jobs for request in job.requests)
    assert asked == Counter([*requests, *writing(40)])
    assert (pooled.fingerprint, pooled.name, pooled.context_length) == (
        model.fingerprint, model.name, model.context_length,
    )  # fmt: skip


def test_each_answer_is_passed_on_once_and_tokens_are_told(scoring):
    got: list[tuple[int, object]] = []
    pooled = pool(Here(3))
    results = pooled.score(scoring(30), lambda index, scores: got.append((index, scores)))
    assert sorted(got, key=lambda pair: pair[0]) == list(enumerate(results))
    assert pooled.score([]) == []


def loses(worker: int, after: int, times: int = 1, reason: str = "ended by SIGKILL") -> Change:
    """`worker` is lost in its next jobs, `times`, once `after` events of the job are out."""
    left = [times]

    def change(of: int, events: list[Event]) -> list[Event]:
        asked = any(type(event).__name__ == "Finished" for event in events)
        if of != worker or not asked or not left[0]:
            return events
        left[0] -= 1
        parts = [
            replace(e, answers=(a,)) for e in events if type(e).__name__ == "Answered" for a in e.answers
        ]
        return [*parts[:after], Lost(of, reason)]

    return change


def test_what_a_lost_worker_had_not_answered_is_asked_again_and_nothing_else(scoring, caplog):
    executor = Here(1, loses(1, after=4))
    pooled = pool(executor)
    got: Counter[int] = Counter()
    assert pooled.score(scoring(10), lambda index, _: got.update([index])) == FakeModel().score(scoring(10))
    first, second = (job.requests for _, job in executor.jobs)
    assert (len(first), second) == (10, first[4:])
    assert got == Counter(range(10))
    assert caplog.messages == ["worker 1 ended by SIGKILL; task 1.1 (6 of 10 requests left) is tried again"]
    account = pooled._team.account
    assert (account.retried, account.lost) == (1, ["worker 1: ended by SIGKILL"])


def test_a_task_that_loses_three_workers_ends_the_call_in_one_line(scoring):
    executor = Here(1, loses(1, after=0, times=3))
    pooled = pool(executor)
    with pytest.raises(ModelError) as failure:
        pooled.score(scoring(3))
    assert str(failure.value) == (
        "task 1.1 (3 of 3 requests left) has lost 3 workers, the last of them worker 1, which ended by "
        "SIGKILL. What was answered is kept; --batch and --max-memory make tasks smaller"
    )
    assert pooled.score(scoring(3)) == FakeModel().score(scoring(3))
    assert executor.started == [1] * 4  # once, and for each that was lost


def test_an_error_names_the_request_of_the_call(scoring):
    requests = [*scoring(50), ScoreRequest("too long " * 10, (" a",)), *scoring(50)]

    class Short(Fake):
        def open(self) -> FakeModel:
            return FakeModel(context_length=60)

    short = [replace(r, prompt=r.prompt[-20:]) if i != 50 else r for i, r in enumerate(requests)]
    executor = Here(4)
    pooled = pool(executor, Short())
    with pytest.raises(ContextOverflow, match="score request 50 ") as failure:
        pooled.score(short)
    with pytest.raises(ContextOverflow) as alone:
        FakeModel(context_length=60).score(short)
    assert str(failure.value) == str(alone.value)
    (failed,) = {worker for worker, job in executor.jobs if any(len(r.prompt) > 60 for r in job.requests)}
    del short[50]
    assert pooled.score(short) == FakeModel(context_length=60).score(short)
    again = executor.started[4:]  # those that were at work when the call ended
    assert failed not in again
    assert len(set(again)) == len(again)
    pooled._team.close()
    assert executor.closed == 1


def test_workers_with_different_models_are_refused():
    class Other(Here):
        def open(self, worker: int, opening: Opening) -> None:
            super().open(worker, replace(opening, opener=Fake(name=f"fake{worker}")))

    team = Team("here", Other(2))
    team.hold(Fake())
    with pytest.raises(ModelError, match=r"workers hold different models: fake2-1 on .*, fake1-1 on"):
        team.events()


def test_a_worker_that_never_opens_its_model_ends_the_run():
    team = Team("here", Here(1, lambda worker, events: [Lost(worker, "ended with exit code 3")]))
    with pytest.raises(
        ModelError, match="worker 1 ended with exit code 3 4 times before it had opened the model"
    ):
        team.hold(Fake())


def test_an_opening_of_before_is_not_taken_for_one_of_now():
    late: list[Event] = []

    def change(worker: int, events: list[Event]) -> list[Event]:
        """What worker 2 says of the first model comes after the second has been asked for."""
        if worker == 2 and not late:
            late.extend(events)
            return []
        return [*late, *events]

    team = Team("here", Here(2, change))
    team.hold(Fake(name="first"))
    assert team.facts.name == "first"
    team.rest()
    team.hold(Fake(name="second"))
    team.events()
    team.events()
    assert team.facts.name == "second"
    assert set(team.idle()) <= {1, 2}


def test_what_all_workers_log_is_said_once(scoring, caplog):
    def change(worker: int, events: list[Event]) -> list[Event]:
        return [Logged(worker, logging.WARNING, "goes on on the trie engine"), *events]

    pool(Here(3, change)).score(scoring(30))
    assert caplog.messages == ["goes on on the trie engine"]


def test_what_is_no_error_of_the_users_is_one_line_too(scoring, monkeypatch):
    def broken(self: FakeModel, requests: object, on_result: object = None) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(FakeModel, "score", broken)
    with pytest.raises(ModelError) as failure:
        pool(Here(1)).score(scoring(1))
    assert re.fullmatch(r"worker 1 on \S+ \(pid \d+\): ZeroDivisionError: two lines", str(failure.value))


def test_a_failed_opening_raises_what_one_process_would():
    class Refuses(Fake):
        def open(self) -> FakeModel:
            raise ModelError("model 'x' cannot be read")

    with pytest.raises(ModelError, match=r"^model 'x' cannot be read$"):
        pool(Here(2), Refuses())


def test_another_version_of_icl_is_refused(monkeypatch):
    from icl.executors import worker

    monkeypatch.setattr(worker, "version", lambda: "0.2.0 (ffff)")
    with pytest.raises(
        Exception, match=r"runs icl 0.2.0 \(ffff\) and this process icl .*: install one version"
    ):
        pool(Here(1))


def test_writing_is_not_cut_below_what_an_engine_writes_side_by_side(writing):
    executor = Here(2)
    pool(executor).generate(writing(20))  # 60 texts
    assert len(executor.jobs) == 2
    pool(executor).generate([GenerateRequest(f"p{i}", n=64) for i in range(16)])
    assert len(executor.jobs) == 2 + 8  # 1,024 texts, 128 a task


def test_what_failed_before_does_not_fail_what_comes_after(scoring):
    """An event of a job that nobody waits for."""
    stale = Failed(1, 999, ModelError("old"))
    pooled = pool(Here(1, lambda worker, events: [stale, *events]))
    assert pooled.score(scoring(4)) == FakeModel().score(scoring(4))
