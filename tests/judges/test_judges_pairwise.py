"""pairwise: both orders, ties, and a planted position bias that cancels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.experiments.asking.judging import grade
from icl.experiments.asking.responses import ResponseStore
from icl.experiments.graded import LabelledItem, PositionBias, report
from icl.judges import create
from icl.judges.pairwise import Pairwise
from icl.judging import Item
from icl.types import ScoreRequest

from .graded_by import asked, verdicts


def pair(name: str, one: str, two: str) -> Item:
    return Item(name, "Which tea?", one, other=two)


def sides(prompt: str) -> tuple[str, str]:
    one, two = (prompt.rsplit(f"Answer {letter}: ", 1)[1].partition("\n")[0] for letter in "AB")
    return one, two


def prefers(bias: float) -> Callable[[str, str], float]:
    """A model whose log odds for what stands first are the difference of the answers' numbers, and `bias`."""

    def score(prompt: str, letter: str) -> float:
        one, two = (float(side.split()[-1]) for side in sides(prompt))
        odds = one - two + bias
        return -math.log1p(math.exp(-odds if letter == " A" else odds))

    return score


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_both_orders_are_asked_and_averaged() -> None:
    graded, model = asked(Pairwise(), [pair("1", "worth 2", "worth 1.5")], prefers(0.0))
    shown = [sides(str(request.prompt)) for request in model.requests]
    assert shown == [("worth 2", "worth 1.5"), ("worth 1.5", "worth 2")]
    assert all(isinstance(r, ScoreRequest) and r.continuations == (" A", " B") for r in model.requests)
    verdict = graded[0].verdict
    assert (verdict.label, verdict.score, verdict.flags) == ("first", 1.0, ())
    assert verdict.probabilities["first"] == pytest.approx(sigmoid(0.5))
    assert verdict.margin == pytest.approx(sigmoid(0.5) - 0.5)


def test_a_planted_position_bias_cancels() -> None:
    pairs = [pair(f"{gap}", f"worth {2 + gap}", "worth 2") for gap in (-1.0, -0.2, 0.2, 1.0)]
    fair = verdicts(Pairwise(position_ties=False), pairs, prefers(0.0))
    biased = verdicts(Pairwise(position_ties=False), pairs, prefers(3.0))
    assert [v.label for v in biased] == [v.label for v in fair] == ["second", "second", "first", "first"]
    assert all("position" in v.flags for v in biased)
    assert [v.label for v in verdicts(Pairwise(), pairs, prefers(3.0))] == ["tie"] * 4
    small = verdicts(Pairwise(), pairs, prefers(0.5))  # less than the gaps of 1, more than those of 0.2
    assert [v.label for v in small] == ["second", "tie", "tie", "first"]
    assert small[1].flags == ("position", "tie")
    assert small[1].score == 0.5


def test_swapping_a_pair_swaps_its_verdict() -> None:
    one, two = pair("1", "worth 2", "worth 1"), pair("1", "worth 1", "worth 2")
    (first,), (second,) = (verdicts(Pairwise(), [item], prefers(0.4)) for item in (one, two))
    assert (first.label, second.label) == ("first", "second")
    assert first.probabilities["first"] == pytest.approx(1 - second.probabilities["first"])


def test_a_margin_makes_ties() -> None:
    item = pair("1", "worth 1.1", "worth 1")
    (close,) = verdicts(Pairwise(tie_margin=0.03), [item], prefers(0.0))  # sigmoid(0.1) is 0.525
    assert (close.label, close.flags) == ("tie", ("tie",))
    (apart,) = verdicts(Pairwise(tie_margin=0.02), [item], prefers(0.0))
    assert apart.label == "first"
    (same,) = verdicts(Pairwise(), [pair("1", "worth 1", "worth 1")], prefers(0.0))
    assert (same.label, same.flags) == ("tie", ("near_tie", "tie"))


def test_chinese_and_a_criterion() -> None:
    item = Item("1", "喝什么茶？", "绿茶", other="红茶", language="zh")
    _, model = asked(Pairwise(criterion="更简短。"), [item])
    text = str(model.requests[0].prompt)
    assert text.startswith("比较同一问题的两个回答，指出哪一个更好：更简短。\n")
    assert text.endswith("问题：喝什么茶？\n回答A：绿茶\n回答B：红茶\n更好的回答：")


def test_position_bias_over_a_set() -> None:
    drawn = np.random.default_rng(1).normal(size=200)
    pairs = [pair(str(at), f"worth {gap:.4f}", "worth 0") for at, gap in enumerate(drawn)]
    for bias, first in ((0.0, 0.5), (20.0, 1.0), (-20.0, 0.0)):
        found = PositionBias.of(verdicts(Pairwise(), pairs, prefers(bias)))
        assert found is not None
        assert found.both is not None
        assert found.both.value == first
        assert found.disagree is not None
        assert found.disagree.value == abs(2 * first - 1)
    fair = PositionBias.of(verdicts(Pairwise(), pairs, prefers(0.0)))
    assert fair is not None
    assert fair.before is not None
    assert fair.before.value == np.mean(drawn > 0)
    assert fair.before.low < 0.5 < fair.before.high


def test_agreement_with_peoples_labels() -> None:
    rows = [
        LabelledItem(pair("1", "worth 2", "worth 1"), "f:1", "first"),
        LabelledItem(pair("2", "worth 1", "worth 2"), "f:2", "second"),
        LabelledItem(pair("3", "worth 1", "worth 1"), "f:3", "first"),
    ]
    judge = Pairwise()
    graded, _ = asked(judge, [row.item for row in rows], prefers(0.0))
    found = report(judge, rows, graded)
    assert found.right is not None
    assert found.right.value == pytest.approx(2 / 3)
    assert found.confusion["first"] == {"first": 1, "tie": 1, "second": 0}
    assert found.position is not None


def test_a_row_with_one_side_is_refused() -> None:
    with pytest.raises(ConfigError, match="7 has one side only; a pair has answer and other"):
        grade(Pairwise(), [Item("7", "q", "a")], FakeModel(), ResponseStore())
    with pytest.raises(ConfigError, match=r"tie_margin is 0.6; allowed: a number >= 0 and <= 0.5"):
        create("pairwise", {"tie_margin": 0.6})
