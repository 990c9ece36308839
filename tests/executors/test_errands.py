"""Errands over workers of the tests' own, in this process."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from icl.engine.fake import FakeModel
from icl.errors import IclError, ModelError
from icl.executors.contract import Event, Lost
from icl.executors.errands import carry_out
from icl.executors.team import Team
from tests.executors.openers import Fake
from tests.executors.test_pool import Change, Here


@dataclass(frozen=True)
class Doubles:
    """What it says is half of what it comes to."""

    number: int

    def do(self, held: Any, say: Any) -> Any:
        """See Act."""
        assert isinstance(held, FakeModel)
        say(self.number)
        if self.number < 0:
            raise ModelError(f"{self.number} is no number")
        return 2 * self.number


class Heard:
    def __init__(self) -> None:
        self.told: list[tuple[str, int, Any]] = []

    def began(self, place: int) -> None:
        self.told.append(("began", place, None))

    def said(self, place: int, what: Any) -> None:
        self.told.append(("said", place, what))


def carried_out(executor: Here, numbers: list[int], heard: Heard | None = None) -> tuple[Team, list[Any]]:
    team = Team("here", executor)
    team.hold(Fake())
    acts = [(f"number {number}", Doubles(number)) for number in numbers]
    found: dict[int, Any] = dict(carry_out(team, acts, heard or Heard()))
    return team, [found[place] for place in range(len(numbers))]


@pytest.mark.parametrize("workers", [1, 3])
def test_each_is_done_once_and_what_it_says_is_passed_on(workers):
    heard, executor = Heard(), Here(workers)
    _, found = carried_out(executor, [5, 6, 7, 8], heard)
    assert found == [10, 12, 14, 16]
    assert sorted(heard.told, key=str) == sorted(
        [(what, i, None if what == "began" else i + 5) for i in range(4) for what in ("began", "said")],
        key=str,
    )
    assert {worker for worker, _ in executor.jobs} == set(range(1, workers + 1))


def test_one_that_fails_keeps_no_other_back():
    _, found = carried_out(Here(2), [1, -1, 3])
    assert (found[0], found[2]) == (2, 6)
    assert isinstance(found[1], ModelError)
    assert str(found[1]) == "-1 is no number"


def loses(times: int, number: int) -> Change:
    """The worker that has said this number is lost, so often."""
    left = [times]

    def change(worker: int, events: list[Event]) -> list[Event]:
        said = any(number in getattr(event, "what", ()) for event in events)
        if not said or not left[0]:
            return events
        left[0] -= 1
        return [events[0], Lost(worker, "ended by SIGKILL")]

    return change


def test_one_that_lost_its_worker_is_done_again_alone_and_last(caplog):
    executor = Here(2, loses(1, 5))
    team, found = carried_out(executor, [5, 6, 7, 8])
    assert found == [10, 12, 14, 16]
    assert [job.act.number for _, job in executor.jobs] == [5, 6, 7, 8, 5]  # type: ignore[union-attr]
    assert caplog.messages == ["worker 2 ended by SIGKILL; number 5 is tried again"]
    assert (team.account.retried, team.account.lost) == (1, ["worker 2: ended by SIGKILL"])


def test_three_lost_workers_are_one_line_and_the_others_are_done():
    executor = Here(2, loses(9, 5))
    _, found = carried_out(executor, [5, 6])
    assert found[1] == 12
    assert isinstance(found[0], IclError)
    said = (
        r"number 5 has lost 3 workers, the last of them worker \d, which ended by SIGKILL; is there memory.*"
    )
    assert re.fullmatch(said, str(found[0]))
    assert len(executor.jobs) == 4


def test_who_breaks_off_leaves_a_team_that_goes_on():
    executor = Here(1)
    team = Team("here", executor)
    team.hold(Fake())
    outcomes = carry_out(team, [("one", Doubles(1)), ("two", Doubles(2))], Heard())
    assert next(outcomes) == (0, 2)
    outcomes.close()
    assert list(carry_out(team, [("three", Doubles(3))], Heard())) == [(0, 6)]


def test_only_so_many_workers_hold_what_is_opened_for_them():
    opened: list[tuple[int, bool]] = []

    class Counts(Here):
        def open(self, worker: int, opening: Any) -> None:
            opened.append((worker, opening.opener is not None))
            super().open(worker, replace(opening))

    team = Team("here", Counts(3))
    team.hold(Fake(), most=1)
    assert opened == [(1, True), (2, False), (3, False)]
    team.widen(2)
    assert opened[3:] == [(2, True)]
    team.widen(9)
    assert opened[4:] == [(3, True)]
    team.hold(Fake())
    assert opened[5:] == [(1, True), (2, True), (3, True)]


@pytest.mark.parametrize(("errands", "threads"), [(1, 8), (2, 4), (3, 2), (4, 2), (9, 2)])
def test_few_errands_have_the_threads_of_all_workers(errands, threads):
    class Four(Here):
        def start(self) -> Any:
            crew, workers, _ = super().start()
            return crew, workers, 2

    team = Team("here", Four(4))
    team.hold(Fake())
    assert team.threads_for(errands) == threads
    team.executor.one_machine = False  # type: ignore[misc]
    assert team.threads_for(errands) == 0
