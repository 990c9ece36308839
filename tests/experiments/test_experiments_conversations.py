"""Conversations side by side: every one gets its own answers, and the window holds."""

from __future__ import annotations

import pytest

from icl.engine.fake import FakeModel
from icl.errors import ContextOverflow
from icl.experiments.asking.conversations import Conversation, Window, converse
from icl.experiments.asking.metered import MeteredModel
from icl.types import NO_USAGE, GenerateRequest, Outcome, Prompt, ScoreRequest, Usage


def talk(name, stages):
    """Asks `stages` times, once with two requests of both kinds; tells what it was answered."""
    heard = []
    for stage in range(stages):
        asked = [ScoreRequest(f"{name} {stage}", ("x", "yy")), GenerateRequest(f"{name} {stage}")]
        answers = yield asked[: 1 + stage % 2]
        heard.append([getattr(a, "token_logprobs", None) or a.samples[0].text for a in answers])
    return Outcome(name, Prompt(""), details={"heard": heard})


def drive(window, model=None, count=9):
    found = {}
    talks = (Conversation(i, talk(f"t{i}", i % 4)) for i in range(count))
    converse(
        talks, model or FakeModel(), window, lambda c, outcome: found.setdefault(c.tag, (outcome, c.usage))
    )
    return found


def test_the_window_changes_nothing_but_the_calls():
    wide = drive(Window())
    assert sorted(wide) == list(range(9))
    assert all(outcome.answer == f"t{tag}" for tag, (outcome, _) in wide.items())
    for window in (Window(requests=1), Window(requests=3), Window(characters=1), Window(spread=20)):
        assert drive(window) == wide


def test_usage_is_that_of_the_conversation():
    found = drive(Window())
    assert [found[i][1].requests for i in range(4)] == [0, 1, 3, 4]


def test_what_a_cell_asks_again_costs_nothing():
    same = ScoreRequest("the same for all", ("x",))

    def shares(name):
        yield [same, ScoreRequest(f"that of {name}", ("x",))]
        yield [same]
        return Outcome(name, Prompt(""))

    price = FakeModel().score([same])[0].usage
    for window in (Window(), Window(requests=1)):
        found, paid = {}, {"a": set(), "b": set()}
        talks = (Conversation(name, shares(name), paid[name[0]]) for name in ("a1", "a2", "b1"))
        converse(talks, FakeModel(), window, lambda c, outcome, found=found: found.setdefault(c.tag, c.usage))
        assert found["a1"] == found["b1"] == found["a2"] + price
        assert found["a2"].requests == 1


def test_never_more_is_asked_than_the_window_holds():
    class Counting(FakeModel):
        sizes: list[int] = []  # noqa: RUF012

        def score(self, requests, on_result=None):
            self.sizes.append(len(requests))
            return super().score(requests, on_result)

    drive(Window(requests=2), Counting())
    assert max(Counting.sizes) == 2


def test_later_stages_meet_first_stages_of_others():
    model = FakeModel()
    calls = []
    score = model.score
    model.score = lambda requests, on_result=None: calls.append(len(requests)) or score(requests, on_result)
    drive(Window(requests=4), model)
    assert len(calls) < sum(i % 4 for i in range(9))


def test_an_overflow_says_whose_it_is():
    def overflowing():
        raise ContextOverflow("too long")
        yield []

    with pytest.raises(ContextOverflow, match="query 7: too long"):
        converse(iter([Conversation("query 7", overflowing())]), FakeModel(), Window(), lambda c, o: None)


def test_a_meter_counts_only_while_it_is_open():
    model = MeteredModel(FakeModel())
    model.score([ScoreRequest("a", ("b",))])
    with model.count() as outer:
        with model.count() as inner:
            model.score([ScoreRequest("a", ("b",))] * 2)
        model.generate([GenerateRequest("a")])
    model.score([ScoreRequest("a", ("b",))])
    assert (inner.usage.requests, outer.usage.requests) == (2, 3)
    assert outer.seconds >= inner.seconds > 0


def test_a_total_is_the_sum_one_by_one():
    costs = [Usage(3, 2, 1, 0.1, 1), NO_USAGE, Usage(5, 5, 0, 0.2, 2), Usage()]
    assert Usage.total(costs) == sum(costs, start=NO_USAGE) == Usage(8, 7, 1, 0.1 + 0.2, 4)
    assert Usage.total([]) == Usage.total([NO_USAGE]) == NO_USAGE
