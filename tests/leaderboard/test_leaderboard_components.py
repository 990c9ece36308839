"""Planted variances are found again; where they come from is told apart."""

import numpy as np
import pytest

from icl.leaderboard.components import components, mean_squares, set_and_order
from icl.seeding import generator


def test_mean_squares_by_hand():
    table = np.array([[1.0, 2.0, 6.0], [3.0, 2.0, 4.0]])
    found = mean_squares(table)
    assert found["0"] == pytest.approx(0.0)  # both rows have a mean of 3
    assert found["1"] == pytest.approx(2 * (1 + 1 + 4) / 2)  # columns' means are 2, 2, 5
    assert found["01"] == pytest.approx(2 * (1 + 0 + 1) / 2)


def test_three_way_mean_squares_add_up_to_all_that_varies():
    cube = generator(0, "cube").standard_normal((3, 4, 5))
    found = mean_squares(cube)
    sizes = {"0": 2, "1": 3, "2": 4, "01": 6, "02": 8, "12": 12, "012": 24}
    assert set(found) == set(sizes)
    total = sum(sizes[name] * square for name, square in found.items())
    assert total == pytest.approx(((cube - cube.mean()) ** 2).sum())


def test_planted_shares_are_recovered():
    """Means of 300 tables: sd of a seed .10, of a query .35, of what is left .30. Shares are ratios, which
    five seeds leave skewed: of means of the parts."""
    rng = generator(1, "planted")
    found = []
    for _ in range(300):
        seed, query = 0.10 * rng.standard_normal((5, 1)), 0.35 * rng.standard_normal((1, 80))
        found.append(components(0.6 + seed + query + 0.30 * rng.standard_normal((5, 80))))
    means = [np.mean([getattr(c, name) for c in found]) for name in ("seed", "query", "rest")]
    assert means == pytest.approx([0.01, 0.1225, 0.09], rel=0.07)
    parts = np.array([0.01 / 5, 0.1225 / 80, 0.09 / 400])
    told = np.mean([[c.of_mean[name] for name in ("seed", "query", "rest")] for c in found], axis=0)
    assert told / told.sum() == pytest.approx(parts / parts.sum(), abs=0.03)
    assert all(sum(c.shares.values()) == pytest.approx(1) for c in found)


def test_planted_shares_of_right_and_wrong_answers_are_recovered():
    """A seed moves accuracy by 10 points up or down, a query by 30."""
    rng = generator(2, "right and wrong")
    found = []
    for _ in range(300):
        seed, query = rng.choice([-0.1, 0.1], (6, 1)), rng.choice([-0.3, 0.3], (1, 100))
        found.append(components((rng.random((6, 100)) < 0.6 + seed + query).astype(float)))
    rest = np.mean([(0.6 + s + q) * (0.4 - s - q) for s in (-0.1, 0.1) for q in (-0.3, 0.3)])
    means = [np.mean([getattr(c, name) for c in found]) for name in ("seed", "query", "rest")]
    assert means == pytest.approx([0.01, 0.09, rest], rel=0.07)


def test_the_interval_of_the_seeds_variance_holds_it():
    rng = generator(3, "interval")
    held = 0
    for _ in range(300):
        seed, query = 0.1 * rng.standard_normal((4, 1)), 0.3 * rng.standard_normal((1, 60))
        found = components(seed + query + 0.3 * rng.standard_normal((4, 60)))
        held += found.seed_low <= 0.01 <= found.seed_high
    assert 0.92 <= held / 300 <= 0.98


def test_set_and_order_are_told_apart():
    rng = generator(4, "orders")
    found = []
    for _ in range(300):
        of_set = 0.08 * rng.standard_normal((6, 1, 1))
        order = 0.05 * rng.standard_normal((1, 5, 1)) + 0.07 * rng.standard_normal((6, 5, 1))
        query = 0.3 * rng.standard_normal((1, 1, 40)) + 0.1 * rng.standard_normal((6, 1, 40))
        found.append(set_and_order(of_set + order + query + 0.2 * rng.standard_normal((6, 5, 40))))
    of_set, order = np.mean(found, axis=0)
    assert of_set == pytest.approx(0.08**2, rel=0.12)
    assert order == pytest.approx(0.05**2 + 0.07**2, rel=0.12)


def test_one_seed_or_one_query_says_what_it_can():
    scores = np.array([[1.0, 0.0, 1.0, 1.0]])
    one = components(scores)
    assert (one.seed, one.query, one.rest) == (None, pytest.approx(0.25), 0.0)
    assert one.shares == {"seed": 0.0, "query": 1.0, "rest": 0.0}
    assert components(scores.T).seed == pytest.approx(0.25)
    nothing = components(np.ones((3, 5)))
    assert (nothing.seed, nothing.shares["query"]) == (0.0, 0.0)
