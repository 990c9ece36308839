"""Workers that say nothing, over workers of the tests' own and a clock of theirs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from icl.engine.fake import FakeModel
from icl.executors.contract import Event
from tests.executors.test_pool import Here, pool


class Slow(Here):
    """Worker 1 says nothing of its first job. Each time that is waited takes ten seconds by `clock`."""

    lost_after = 60.0

    def __init__(self) -> None:
        super().__init__(2, self.hang)
        self.clock = 0.0
        self.hangs = True

    def hang(self, worker: int, events: list[Event]) -> list[Event]:
        if worker == 1 and self.hangs and any(type(event).__name__ == "Finished" for event in events):
            self.hangs = False
            return []
        return events

    def events(self, timeout: float) -> Sequence[Event]:
        found = super().events(timeout)
        self.clock += 0 if found else 10
        return found


def test_a_worker_that_gives_no_sign_of_life_is_lost(scoring, monkeypatch, caplog):
    executor = Slow()
    monkeypatch.setattr("icl.executors.team.time.monotonic", lambda: executor.clock)
    pooled = pool(executor)
    assert pooled.score(scoring(40)) == FakeModel().score(scoring(40))
    assert pooled._team.account.lost == ["worker 1: gave no sign of life for 60 s and was ended"]
    assert "worker 1 gave no sign of life for 60 s and was ended; task 1." in caplog.text
    assert executor.clock == 70
    assert executor.started == [1, 2, 1]


def test_the_time_in_which_the_driver_does_not_listen_does_not_count(scoring, monkeypatch):
    executor = Slow()
    executor.hangs = False
    monkeypatch.setattr("icl.executors.team.time.monotonic", lambda: executor.clock)

    def busy(index: int, answer: object) -> None:
        executor.clock += 1000

    pooled = pool(executor)
    assert pooled.score(scoring(20), busy) == FakeModel().score(scoring(20))
    assert pooled._team.account.lost == []


@pytest.mark.parametrize("limit", [None, 1000.0])
def test_a_worker_is_waited_for_as_long_as_is_allowed(scoring, monkeypatch, limit):
    executor = Slow()
    executor.lost_after = limit
    monkeypatch.setattr("icl.executors.team.time.monotonic", lambda: executor.clock)
    late: list[Event] = []
    real = executor.events

    def events(timeout: float) -> Sequence[Event]:
        """What it has to say comes after 500 seconds."""
        found = real(timeout)
        return [late.pop(0)] if late and executor.clock > 500 else found

    def keep(worker: int, events: list[Event]) -> list[Event]:
        if worker == 1 and not late and any(type(event).__name__ == "Finished" for event in events):
            late.extend(events)
            return []
        return events

    executor.change, executor.events = keep, events  # type: ignore[method-assign]
    pooled = pool(executor)
    assert pooled.score(scoring(4)) == FakeModel().score(scoring(4))
    assert pooled._team.account.lost == []
    assert executor.clock > 500
