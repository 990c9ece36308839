"""Votes, adaptive stopping and curves, each against a case worked by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.cot.shared.adaptive import confidence
from icl.cot.shared.curves import pass_at, sample_values
from icl.cot.shared.sampled import elect, elected
from icl.cot.shared.votes import longest, unify, vote
from icl.errors import DataError
from icl.types import Prediction


@pytest.mark.parametrize(
    ("answers", "winner", "chain", "tied"),
    [
        (["4", "5", "4"], "4", 0, False),
        (["4", "5", "5", "4"], "5", 1, True),  # 5 has two votes first
        (["4", None, None, None], "4", 0, False),  # unparsed chains are no majority
        ([None, "5", "4"], "5", 1, True),
        ([None, None], None, None, False),
        ([], None, None, False),
    ],
)
def test_plurality(answers: list[str | None], winner: str | None, chain: int | None, tied: bool) -> None:
    ballot = vote(answers)
    assert (ballot.answer, ballot.chain, ballot.tied) == (winner, chain, tied)


def test_weights_and_agreement() -> None:
    ballot = vote(["4", "5", "4", None], [0.2, 0.9, 0.4, 5.0])
    assert ballot.answer == "5"
    assert ballot.totals == pytest.approx({"4": 0.6, "5": 0.9})
    assert ballot.agreement == pytest.approx(0.6)
    with pytest.raises(ValueError, match="2 answers with 1 weights"):
        vote(["4", "5"], [1.0])


@given(st.lists(st.sampled_from(["1", "2", "3", None]), max_size=12))
def test_equal_weights_are_no_weights(answers: list[str | None]) -> None:
    weighted = vote(answers, [2.5] * len(answers))
    assert (weighted.answer, weighted.chain) == (vote(answers).answer, vote(answers).chain)


def test_answers_that_say_the_same_are_one() -> None:
    same = lambda a, b: a.lower() == b.lower()  # noqa: E731
    assert unify(["YZ", "ab", None, "yz", "AB"], same) == ["YZ", "ab", None, "YZ", "ab"]
    assert vote(["YZ", "ab", "yz"], same=same).totals == {"YZ": 2.0, "ab": 1.0}


def test_longest() -> None:
    assert longest([2, 5, 3, 5, 2], 3) == [1, 2, 3]
    assert longest([2, 2, 2], 2) == [0, 1], "of equals those drawn first"
    assert longest([1], 5) == [0]


def test_confidence_by_hand() -> None:
    assert confidence([]) == 0.0
    # Beta(k + 1, 1): P(p > 1/2) = 1 - 2^-(k + 1)
    for votes in (1, 3, 4):
        assert confidence([votes]) == pytest.approx(1 - 0.5 ** (votes + 1))
    assert confidence([2, 2]) == pytest.approx(0.5)


def test_dirichlet_by_hand() -> None:
    """Over the answers seen and no other one; below three of them Beta."""
    assert confidence([], "dirichlet") == 0.0
    assert confidence([3], "dirichlet") == pytest.approx(15 / 16)
    # Beta(3, 2): P(p > 1/2) = P(at most 2 of 4 coins) = (1 + 4 + 6) / 16
    assert confidence([2, 1], "dirichlet") == pytest.approx(11 / 16)
    # Beta(6, 3): P(at most 5 of 8 coins) = 1 - (28 + 8 + 1) / 256
    assert confidence([2, 5], "dirichlet") == pytest.approx(219 / 256)
    assert confidence([4, 4, 4], "dirichlet") == pytest.approx(1 / 3, abs=1e-6)
    # Dirichlet(3, 2, 2): E over x ~ Gamma(3) of (1 - (1 + x) e^-x)^2
    #   = 1 - [2/8 + 6/16] + [2/27 + 12/81 + 24/243] / 2
    by_hand = 1 - (2 / 8 + 6 / 16) + (2 / 27 + 12 / 81 + 24 / 243) / 2
    assert confidence([1, 2, 1], "dirichlet") == pytest.approx(by_hand, abs=1e-6)
    # An answer without a vote is one that was not seen only if it is not counted: Dirichlet(2, 1, 1) is
    # E over x ~ Gamma(2) of (1 - e^-x)^2 = 1 - 2/4 + 1/9
    assert confidence([1, 0, 0], "dirichlet") == pytest.approx(1 - 2 / 4 + 1 / 9, abs=1e-6)


def prediction(
    name: str, gold: str, answers: list[str | None], steps: list[int], scores: Any = None
) -> Prediction:
    chains = [{"answer": a, "steps": s} for a, s in zip(answers, steps, strict=True)]
    details = {"chains": chains} | ({"scores": scores} if scores else {})
    return Prediction(name, (), answers[0], gold, answers[0] == gold, details=details)


ONE = prediction("a", "4", ["4", "5", "4", None], [1, 3, 2, 1], [0.1, 0.9, 0.2, 0.5])
TWO = prediction("b", "1", ["2", "1", "1", "2"], [1, 2, 2, 1], [0.1, 0.1, 0.1, 0.1])
EQUAL = str.__eq__


def values(rule: Any, ns: list[int], **more: Any) -> list[float]:
    return sample_values([ONE, TWO], right=EQUAL, rule=rule, ns=ns, **more).mean(axis=1).tolist()


def test_curves_by_hand() -> None:
    # the first n: a: 4, b: 2 / a: 4, 5 tie -> 4, b: 2, 1 tie -> 2 / a: 4, b: 1 / a: 4, b: tie -> 1
    assert values("majority", [1, 2, 3, 4], subsets=0) == [0.5, 0.5, 1.0, 1.0]
    assert values("any", [1, 4]) == pytest.approx([0.5, 1.0])
    assert values("any", [2]) == pytest.approx([(1 - 1 / 6 + 1 - 1 / 6) / 2])
    # all four: a: 5 has 0.9 of 0.3 + 0.9
    assert values("weighted", [4]) == [0.5]
    # the longest half: a: chains 1, 2 -> 5, 4 tie -> 5 wrong; b: chains 1, 2 -> 1 right
    assert values("longest", [4], top_share=0.5) == [0.5]


def test_curves_average_over_subsets() -> None:
    found = sample_values([ONE, TWO] * 20, right=EQUAL, rule="majority", ns=[1], subsets=400)
    # one chain at random is right with 2/4 on either question
    assert found.mean() == pytest.approx(0.5, abs=0.02)


def test_any_of_several_accepted_golds_is_right_and_no_vote_looks_at_them() -> None:
    several = replace(ONE, details={**ONE.details, "golds": ["7", "5"]}, gold="7")
    by_hand = {"any": [1 / 4, 1.0], "majority": [1 / 4, 0.0], "longest": [1 / 4, 0.0]}
    for rule, wanted in by_hand.items():
        found = sample_values([several], right=EQUAL, rule=rule, ns=[1, 4])[:, 0]  # type: ignore[arg-type]
        assert found.tolist() == pytest.approx(wanted), rule
    # 4 and 5 are both accepted: their votes stay apart (2 : 1), whichever wins is right
    both = replace(ONE, details={**ONE.details, "golds": ["4", "5"]})
    assert sample_values([both], right=EQUAL, rule="majority", ns=[1, 4])[:, 0].tolist() == [3 / 4, 1.0]


def test_curves_refuse_what_they_cannot_draw() -> None:
    with pytest.raises(DataError, match="n is 5; every query has 4 chains"):
        sample_values([ONE], right=EQUAL, rule="any", ns=[5])
    with pytest.raises(DataError, match="'a' holds no chains"):
        sample_values([Prediction("a", (), "1", "1", True)], right=EQUAL, rule="any", ns=[])
    with pytest.raises(DataError, match="no scores"):
        sample_values([prediction("c", "1", ["1"], [1])], right=EQUAL, rule="weighted", ns=[1])


@given(st.integers(1, 20), st.data())
def test_pass_at(chains: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, chains))
    assert pass_at(1, chains, right) == pytest.approx(right / chains)
    assert pass_at(chains, chains, right) == (1.0 if right else 0.0)
    rates = [pass_at(n, chains, right) for n in range(1, chains + 1)]
    assert all(a <= b or math.isclose(a, b) for a, b in itertools.pairwise(rates))


def test_elected_says_what_went_wrong(world: Any) -> None:
    from icl.cot.shared.chain import Chain
    from icl.types import Prompt

    prompt = Prompt("?")
    chains = [
        Chain(prompt, "a", "a", None, ("unparsed",)),
        Chain(prompt, "b", "b", "4", ("cut_by_length",)),
        Chain(prompt, "c", "c", "5"),
    ]
    outcome = elected(chains, elect(chains, world.task))
    assert (outcome.answer, outcome.output) == ("4", "b")
    assert outcome.flags == ("cut_by_length", "tied_vote", "chains_unparsed", "chains_cut_by_length")
    assert outcome.details["flag_counts"] == {"cut_by_length": 1, "unparsed": 1}
    nobody = elected(chains[:1], elect(chains[:1], world.task))
    assert nobody.answer is None
    assert nobody.flags == ("unparsed", "chains_unparsed")
