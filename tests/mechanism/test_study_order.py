"""The spread over orders beside test noise: simulated with and without an effect of order."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from icl.engine.fake import FakeModel
from icl.errors import ConfigError, ContextOverflow
from icl.mechanism.contract import Found, studies
from icl.mechanism.order import Order
from icl.mechanism.shared.spread import (
    Against,
    by_chance,
    due_to_order,
    gain_of_best,
    indicators,
    rank_correlation,
    spread,
)
from tests.mechanism.reviews import LABELS, done, leaning, reviews, taste, work_on

SMALL = {"task": "reviews", "shots": 3, "sets": 2, "queries": 20, "probes": 6, "pool": 30, "resamples": 200}


def simulated(draw: np.random.Generator, orders: int, queries: int, effect: float) -> np.ndarray:
    """Right or wrong: queries of unlike difficulty, orders `effect` (SD) apart."""
    chance = draw.uniform(0.2, 0.8, size=queries) + effect * draw.standard_normal((orders, 1))
    return (draw.uniform(size=(orders, queries)) < chance).astype(np.int64)


def p_value(right: np.ndarray, draw: np.random.Generator) -> float:
    return Against.of(float(spread(indicators(right, 2))), by_chance(right, 2, 200, draw)).p


def test_without_an_effect_of_order_the_control_covers_at_its_level() -> None:
    draw = np.random.default_rng(0)
    found = np.array([p_value(simulated(draw, 24, 48, 0.0), draw) for _ in range(300)])
    assert 0.02 < (found < 0.05).mean() < 0.09
    assert abs((found < 0.5).mean() - 0.5) < 0.1


def test_an_effect_of_order_is_found_and_sized() -> None:
    draw = np.random.default_rng(1)
    tables = [simulated(draw, 24, 200, 0.08) for _ in range(40)]
    assert np.mean([p_value(table, draw) < 0.05 for table in tables]) > 0.9
    left = np.mean([due_to_order(indicators(table, 2)) ** 2 for table in tables]) ** 0.5
    assert left == pytest.approx(0.08, rel=0.15)
    nothing = [due_to_order(indicators(simulated(draw, 24, 200, 0.0), 2)) for _ in range(40)]
    assert np.mean(nothing) < 0.02


def test_answers_dealt_anew_have_the_variance_of_the_closed_form() -> None:
    draw = np.random.default_rng(2)
    answers = draw.integers(3, size=(24, 40))
    table = indicators(answers, 3)
    chance = by_chance(answers, 3, 4000, draw)
    wanted = (table.var(axis=0, ddof=1).sum(axis=0) / 40**2).mean()
    assert (chance**2).mean() == pytest.approx(wanted, rel=0.02)


def test_spread_is_the_standard_deviation_of_accuracy() -> None:
    right = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
    assert spread(indicators(right, 2)) == pytest.approx(0.5)
    assert due_to_order(indicators(np.array([[1, 0], [0, 1]]), 2)) == 0


def test_rank_correlation_is_spearmans() -> None:
    draw = np.random.default_rng(3)
    values, scores = draw.integers(5, size=(4, 24)).astype(float), draw.integers(6, size=24).tolist()
    found = rank_correlation(values, scores)
    assert found is not None
    assert found == pytest.approx([spearmanr(row, scores).statistic for row in values])
    assert rank_correlation(values, [1.0] * 24) is None
    assert rank_correlation(np.ones(24), scores) is None


def test_gain_of_the_best_shares_ties() -> None:
    values = np.array([4.0, 3.0, 2.0, 1.0])
    assert gain_of_best(values, [9, 8, 1, 0], 2) == pytest.approx(1.0)
    assert gain_of_best(values, [9, 1, 1, 1], 2) == pytest.approx((4 + 2) / 2 - 2.5)
    assert gain_of_best(values, [1, 1, 1, 1], 3) == pytest.approx(0)


def test_all_orders_are_asked_once_in_whole_sets(tmp_path: Path) -> None:
    study = Order(**SMALL)
    work = work_on(tmp_path, reviews(), FakeModel(leaning(1.0)))
    found = done(study, work)
    assert json.loads(json.dumps(found)) == found
    for number in (1, 2):
        parts = [found[f"set {number} from {at}"] for at in (1, 2, 3)]
        assert sorted(tuple(o) for part in parts for o in part["orders"]) == list(permutations(range(3)))
        assert len({tuple(sorted(shown)) for part in parts for shown in part["shown"]}) == 1
    assert sum(step.units for step in study.steps()) == 2 * 6 * (20 + 6)


def test_answers_are_those_of_the_model(tmp_path: Path) -> None:
    study, data = Order(**SMALL), reviews()
    found = study.run(study.steps()[1], work_on(tmp_path, data, FakeModel(leaning(0.4))))
    for last, answers, right in zip(found["last"], found["answers"], found["right"], strict=True):
        for query, answer, hit in zip(data.split(30, 20).test, answers, right, strict=True):
            scores = [taste(query.inputs["text"], y) + 0.4 * (y == last) for y in LABELS]
            assert answer == int(np.argmax(scores))
            assert hit == (LABELS[answer] == query.target)


def test_a_planted_effect_of_order_is_reported_with_its_control(tmp_path: Path) -> None:
    """The label that stands last is always answered, and all queries asked are of the same kind of row."""
    study = Order(**{**SMALL, "queries": 19})
    report = study.report(done(study, work_on(tmp_path, reviews(), FakeModel(leaning(100.0)))))
    accuracy, shares, by_global, by_local = report.claims
    assert shares.holds is True
    assert "test noise alone: 0.1" in shares.control
    assert "SD over 6 orders" in accuracy.measured
    assert (by_global.holds, by_local.holds) == (None, None)
    assert [figure.name for figure in report.figures] == ["order_accuracy", "order_global", "order_local"]
    assert [series.control for series in report.figures[0].series] == [False, False, True, True]


def test_without_an_effect_of_order_none_is_claimed(tmp_path: Path) -> None:
    study = Order(**SMALL)
    found = done(study, work_on(tmp_path, reviews(), FakeModel()))
    report = study.report(found)
    assert [claim.holds for claim in report.claims] == [None] * 4
    low, high = (float(x) for x in report.claims[0].control.split("[")[1].split("]")[0].split(", "))
    measured = float(report.claims[0].measured.split("orders ")[1].split(",")[0])
    assert low <= measured <= high


def planted_entropy(sign: int) -> dict[str, Found]:
    """Orders whose entropy rises (or falls) with their accuracy."""
    right = [[1] * n + [0] * (12 - n) for n in (0, 2, 4, 6, 8, 10)]
    parts = [
        {
            "labels": list(LABELS), "answers": [[r + 1 for r in row] for row in rows], "right": rows,
            "global": [sign * sum(row) for row in rows], "local": [1.0] * 2,
        }
        for rows in (right[:2], right[2:4], right[4:])
    ]  # fmt: skip
    return {f"set {n} from {at + 1}": part for n in (1, 2) for at, part in enumerate(parts)}


def test_entropy_that_tells_good_orders_is_said_to() -> None:
    study = Order(**{**SMALL, "keep": 2})
    up, down = study.report(planted_entropy(1)), study.report(planted_entropy(-1))
    assert (up.claims[2].holds, down.claims[2].holds) == (True, False)
    assert "the best 2 by GlobalE are +0.333" in up.claims[2].measured
    assert "rank correlation with accuracy -1.00" in down.claims[2].measured
    assert "as entropy or accuracy is constant" in up.claims[3].measured
    assert up.claims[3].holds is None


def test_a_set_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    study = Order(**SMALL)
    found = planted_entropy(1)
    del found["set 2 from 3"]
    assert [row[0] for row in study.report(found).tables[0].rows] == ["set 1"]
    assert study.report({}).claims == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shots": 6}, "shots is 6; allowed: an integer >= 2 and <= 5"),
        ({"probes": 20, "pool": 22}, "pool is 22; allowed: an integer >= 24"),
        ({"balanced": "yes"}, "balanced is 'yes'"),
    ],
)
def test_wrong_parameters_of_order_are_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        studies.create("order", given)
    assert said in str(caught.value)


def test_fewer_demonstrations_than_labels_only_by_lot() -> None:
    with pytest.raises(ConfigError, match="allowed: shots >= 3, or balanced: false"):
        Order(**{**SMALL, "shots": 2}).check(None, {"reviews": reviews()})
    Order(**{**SMALL, "shots": 2, "balanced": False}).check(None, {"reviews": reviews()})


def test_a_prompt_of_order_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    study, model = Order(**SMALL), FakeModel(context_length=120)
    with pytest.raises(ContextOverflow, match="the context holds 120"):
        study.run(study.steps()[0], work_on(tmp_path, reviews(), model))
    assert model.requests == []
