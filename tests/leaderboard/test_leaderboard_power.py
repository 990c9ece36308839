"""Power as predicted against power as simulated with the test that the leaderboard takes."""

import numpy as np
import pytest

from icl.leaderboard import leaderboard
from icl.leaderboard.components import Components, components
from icl.leaderboard.intervals import p_of_difference
from icl.leaderboard.power import MOST_QUERIES, WANTED, chance, power_of
from icl.seeding import generator

from .cells import board_cells, cell


def simulated(difference, sds, seeds, queries, runs, name):
    """Share of drawn tables of differences whose p is below 0.05."""
    rng = generator(0, "power", name)
    found = 0
    for _ in range(runs):
        parts = (rng.standard_normal(shape) for shape in ((seeds, 1), (1, queries), (seeds, queries)))
        found += (
            p_of_difference(difference + sum(sd * part for sd, part in zip(sds, parts, strict=True))) < 0.05
        )
    return found / runs


@pytest.mark.parametrize(
    ("difference", "sds", "seeds", "queries"),
    [
        (0.10, (0.00, 0.3, 0.5), 3, 100),
        (0.15, (0.05, 0.3, 0.5), 3, 100),
        (0.10, (0.05, 0.3, 0.5), 5, 200),
        (0.20, (0.15, 0.2, 0.5), 8, 60),
        (0.35, (0.05, 0.4, 0.6), 2, 150),
        (0.04, (0.02, 0.3, 0.4), 10, 400),
    ],
)
def test_power_is_that_of_simulation(difference, sds, seeds, queries):
    """Binomial noise of 1,500 runs at 80 % is one point; benchmarks/power.md has more lines."""
    planted = Components(sds[0] ** 2, sds[1] ** 2, sds[2] ** 2, (seeds, queries))
    told = chance(difference, planted, seeds, queries)
    drawn = simulated(difference, sds, seeds, queries, 1500, f"{difference} {sds} {seeds} {queries}")
    assert told == pytest.approx(drawn, rel=0.1)


@pytest.mark.parametrize("axis", ["queries", "seeds"])
def test_as_many_as_are_said_to_be_needed_are_enough(axis):
    sds = (0.05, 0.1, 0.5)
    planted = Components(*(sd**2 for sd in sds), (4, 60))
    told = power_of(0.12, planted)
    assert told.now < WANTED
    size = (4, told.queries) if axis == "queries" else (told.seeds, 60)
    assert size > (4, 60)
    assert simulated(0.12, sds, *size, 800, axis) == pytest.approx(WANTED, abs=0.06)


def test_what_no_number_of_queries_settles():
    """Two seeds that lie 20 points apart hide a difference of 5 from any number of queries."""
    planted = Components(0.04, 0.01, 0.2, (2, 100))
    told = power_of(0.05, planted)
    assert told.queries is None
    assert chance(0.05, planted, 2, MOST_QUERIES) < WANTED
    assert told.seeds > 50
    assert told.detectable is None


def test_the_smallest_difference_that_is_settled():
    planted = Components(0.001, 0.1, 0.2, (5, 200))
    told = power_of(0.0, planted)
    assert (told.queries, told.seeds) == (None, None)
    assert chance(told.detectable, planted, 5, 200) == pytest.approx(WANTED, abs=0.001)
    assert told.now < 0.05


def test_one_seed_says_nothing_of_seeds():
    assert power_of(0.1, components(np.array([[0.0, 1.0, 0.0, 1.0]]))) is None


def test_the_leaderboard_says_it_of_every_comparison_at_the_level_that_is_left():
    board = leaderboard(board_cells(), compare_to="random", resamples=100, view="power")
    rows = {(row.selector, row.shots): row.comparison for row in board.rows}
    compared = [c for c in rows.values() if c]
    assert {c.family for c in compared} == {4}
    knn = rows["knn", 8]
    assert knn.power == power_of(knn.difference.value, knn.components, 0.05 / 4)
    assert knn.components.shape == (3, 40)
    assert any(line.startswith("power: chance") for line in board.footer)
    one = [cell("random", 4, 0, 0.5), cell("knn", 4, 0, 0.6)]
    (comparison,) = [r.comparison for r in leaderboard(one, compare_to="random").rows if r.comparison][:1]
    assert comparison.power is None
