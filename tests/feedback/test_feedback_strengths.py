"""Strengths and ratings that were planted are found, within intervals that cover them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from icl.feedback import Comparison
from icl.feedback.resampling import Bootstrap
from icl.feedback.strengths import standings

from .rows import STRENGTHS, planted_games, planted_orders, read

ELO = 400 / np.log(10)


def compared(*results: tuple[str, str, float]) -> list[Comparison]:
    return [Comparison("", f"q{at}", "1", *result, "f:1") for at, result in enumerate(results)]


def one(comparisons: list[Comparison], samples: int = 100, **more: float):
    (found,) = standings(comparisons, Bootstrap(samples), **more)
    return found


def by_name(found) -> dict[str, object]:
    return {c.candidate: c for c in found.candidates}


def test_two_candidates_by_hand() -> None:
    """x wins 6, loses 2, ties 4: (6 + 2) / (2 + 2) = 2, so strengths are apart by ln 2."""
    found = by_name(one(compared(*[("x", "y", 1.0)] * 6, *[("y", "x", 1.0)] * 2, *[("x", "y", 0.5)] * 4)))
    assert found["x"].strength - found["y"].strength == pytest.approx(np.log(2))
    assert found["x"].strength + found["y"].strength == pytest.approx(0)
    assert (found["x"].wins, found["x"].ties, found["x"].losses) == (6, 4, 2)
    assert (found["y"].wins, found["y"].ties, found["y"].losses) == (2, 4, 6)


def test_a_prior_is_wins_on_either_side() -> None:
    found = by_name(one(compared(*[("x", "y", 1.0)] * 3), prior=0.5))
    assert found["x"].strength - found["y"].strength == pytest.approx(np.log(3.5 / 0.5))


def test_planted_strengths_are_found_in_many_games() -> None:
    found = one(planted_games(0, 6000))
    assert [c.candidate for c in found.candidates] == ["best", "good", "plain", "weak"]
    for c in found.candidates:
        assert c.strength == pytest.approx(STRENGTHS[c.candidate], abs=0.12)
        assert c.elo.value == pytest.approx(1000 + ELO * STRENGTHS[c.candidate], abs=25)


@pytest.mark.parametrize("kind", ["best", "ranking"])
def test_choices_and_rankings_by_luces_model_give_its_strengths(tmp_path: Path, kind: str) -> None:
    orders = planted_orders(3, 2500)
    said = {"best": lambda o: {"candidates": sorted(o), "best": o[0]}, "ranking": lambda o: {"ranking": o}}[
        kind
    ]
    feedback = read(tmp_path, [{"item": f"q{at}", **said(order)} for at, order in enumerate(orders)])
    for c in one(list(feedback.comparisons())).candidates:
        assert c.strength == pytest.approx(STRENGTHS[c.candidate], abs=0.12)


def ranked(seed: int, items: int) -> list[Comparison]:
    return [
        Comparison("", str(item), "1", order[x], order[y], 1.0, "f:1")
        for item, order in enumerate(planted_orders(seed, items))
        for x in range(len(order))
        for y in range(x + 1, len(order))
    ]


@pytest.mark.parametrize(("make", "items"), [(planted_games, 150), (ranked, 50)])
def test_intervals_cover_what_was_planted(make, items: int) -> None:
    """Of 40 files of 4 candidates each. Were the 6 pairs of a ranking drawn apart, too many would be
    missed."""
    strengths, ratings = [], []
    for seed in range(40):
        (found,) = standings(make(seed, items), Bootstrap(150, seed))
        for c in found.candidates:
            true = STRENGTHS[c.candidate]
            strengths.append(c.interval.low <= true <= c.interval.high)
            ratings.append(c.elo.interval.low <= 1000 + ELO * true <= c.elo.interval.high)
    assert 0.89 <= np.mean(strengths) <= 0.985
    assert 0.9 <= np.mean(ratings) <= 0.995


def test_intervals_of_elo_do_not_vanish_where_orders_differ_by_more_than_resamples() -> None:
    """With thousands of games nearly all chance is of the orders. What is left is that of the strengths."""
    for c in one(planted_games(5, 3000), 200).candidates:
        width = c.elo.interval.high - c.elo.interval.low
        expected = ELO * (c.interval.high - c.interval.low)
        assert 0.8 * expected < width < 2.5 * expected
        assert width < 0.8 * (c.elo.orders[1] - c.elo.orders[0])


def test_a_candidate_that_never_lost_has_no_strength_and_it_is_said() -> None:
    games = compared(("x", "y", 1.0), ("y", "z", 1.0), ("z", "y", 1.0), ("x", "z", 1.0))
    found = one(games)
    assert [c.strength for c in found.candidates] == [None] * 3
    assert found.notes == (
        "no strengths: 'x' never lost to anybody, so the likelihood has no finite maximum; "
        "--prior 0.5 gives one",
    )
    assert found.candidates[0].candidate == "x"  # by Elo
    assert all(c.strength is not None for c in one(games, prior=0.5).candidates)


def test_candidates_that_nobody_compared_are_on_no_common_scale() -> None:
    games = compared(("x", "y", 1.0), ("y", "x", 1.0), ("v", "w", 1.0), ("w", "v", 1.0))
    (note,) = one(games).notes
    assert note.startswith("no strengths: no comparison links 'x', 'y' and 'v', 'w'; --prior 0.5")


def test_resamples_without_a_maximum_are_counted() -> None:
    """x lost once in 10 games: a third of the resamples leave that game out."""
    (note,) = one(compared(*[("x", "y", 1.0)] * 9, ("y", "x", 1.0)), 500).notes
    lost = int(note.split()[1])
    assert lost / 500 == pytest.approx(0.9**10, abs=0.06)
    assert "are too narrow" in note


def test_one_item_has_no_interval() -> None:
    games = [Comparison("", "q", who, "x", "y", score, "f:1") for who, score in (("a", 1.0), ("b", 0.0))]
    found = one(games)
    assert [c.interval for c in found.candidates] == [None, None]
    assert [c.elo.interval for c in found.candidates] == [None, None]
    assert found.notes == ("one item: no intervals, which say what other items would give",)


def test_qualities_are_ranked_apart() -> None:
    games = [
        Comparison(quality, f"q{at}", "1", "x", "y", score, "f:1")
        for quality, scores in (("helpful", (1, 1, 0)), ("harmless", (0, 0, 1)))
        for at, score in enumerate(scores)
    ]
    found = standings(games, Bootstrap(100))
    assert [(s.question, s.candidates[0].candidate) for s in found] == [("helpful", "x"), ("harmless", "y")]
