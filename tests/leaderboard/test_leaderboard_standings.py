"""Rank groups: who stands in the first, who leaves it, and how often the truly best row is put out of it."""

import numpy as np
import pytest
from scipy import stats

from icl.experiments.records import Cell, CellResult
from icl.leaderboard import leaderboard
from icl.leaderboard.analysis import values_of
from icl.leaderboard.intervals import p_of_difference
from icl.leaderboard.layout import Group, Layout
from icl.leaderboard.measures import Judged, Measure, stand_in_task
from icl.leaderboard.standings import standings
from icl.leaderboard.statistics import Resampler
from icl.seeding import generator
from icl.types import Prediction

from .cells import cell

ANSWERS = {right: Prediction("q", (), "a" if right else "b", "a", right) for right in (True, False)}


def group(name: str, scores) -> Group:
    """A complete row of right and wrong answers [S, Q]."""
    where = Cell("tiny", "t", name, 4, "as_selected", "direct", 0)
    grid = tuple(tuple(ANSWERS[bool(x)] for x in line) for line in scores)
    lay = Layout(tuple(range(len(grid))), tuple(map(str, range(len(grid[0])))), grid)
    return Group(where.row, (CellResult(where, (), complete=True),), (), lay)


def ranked(*tables):
    """Rank group of each table, in order."""
    groups = [group(f"row{i}", scores) for i, scores in enumerate(tables)]
    measure = Measure({"t": Judged("accuracy", None, stand_in_task("t", []))})
    found = standings(groups, values_of(groups, measure), measure, Resampler(500), lambda g: ())
    return [found[g.key] for g in groups]


def test_clear_steps_are_three_groups_and_equals_share_one():
    rng = generator(0, "steps")
    tables = [rng.random((5, 200)) < p for p in (0.3, 0.9, 0.6, 0.88)]
    found = ranked(*tables)
    assert [s.group for s in found] == [3, 1, 2, 1]
    assert {s.best.selector for s in found} == {"row1"}
    assert found[1].p == 1.0
    assert found[0].p < 0.05 < found[3].p
    assert {s.of for s in found} == {4}


def test_p_against_the_best_is_that_of_the_difference_times_the_other_rows():
    rng = generator(1, "p")
    tables = [rng.random((3, 100)) < p for p in (0.8, 0.6, 0.5)]
    found = ranked(*tables)
    gaps = tables[2].astype(float) - tables[0]
    assert found[2].p == pytest.approx(min(1.0, 2 * p_of_difference(gaps)))
    assert not found[2].one_seed


def test_one_seed_takes_the_test_for_this_seed():
    scores = np.zeros((1, 40), dtype=bool)
    better = scores.copy()
    better[0, :12] = True
    found = ranked(scores, better)
    assert [s.group for s in found] == [2, 1]
    assert found[0].p == pytest.approx(2 / 2**12)
    assert found[0].one_seed


@pytest.mark.parametrize(
    ("seeds", "spread", "gap"), [(1, 0.0, 0.0), (2, 0.4, 0.0), (3, 0.0, 0.0), (3, 0.4, 0.03), (5, 0.4, 0.0)]
)
def test_the_truly_best_row_is_put_out_in_at_most_one_board_of_twenty(seeds, spread, gap):
    """Six rows, the first as good as the others or better by `gap`. The binomial noise of 200 boards at 5 %
    is 1.5 points; benchmarks/standings.md has the table."""
    rng = generator(2, "boards", f"{seeds} {spread} {gap}")
    boards, queries, scale, out = 200, 50, np.sqrt(2 + spread**2), 0
    for _ in range(boards):
        query = rng.standard_normal((1, queries))
        tables = []
        for rate in (0.6 + gap, *[0.6] * 5):
            seed = spread * rng.standard_normal((seeds, 1))
            noise = rng.standard_normal((seeds, queries))
            tables.append(stats.norm.ppf(rate) * scale + seed + query + noise > 0)
        out += ranked(*tables)[0].group > 1
    assert out / boards <= 0.05 + 0.015


def test_the_footer_names_those_that_cannot_be_told_apart_and_latex_sets_them_bold():
    results = []
    for seed in range(5):
        results += [cell("knn", 4, seed, 0.9, n=80), cell("mmr", 4, seed, 0.88, n=80)]
        results += [cell("random", 4, seed, 0.3, n=80)]
    board = leaderboard(results, resamples=100, majority=False)
    by_name = {row.selector: row for row in board.rows}
    assert {name: row.leads for name, row in by_name.items()} == {"knn": True, "mmr": True, "random": False}
    best, other = (row.selector for row in board.rows[:2])
    said = "(paired p for new seeds and queries, Bonferroni over 2 rows)."
    assert f"Best: {best}. Not distinguishable from it: {other} {said}" in board.footer
    assert board.to_latex().count(r"\textbf{") == 2
    alone = leaderboard(results[:1], resamples=100, majority=False)
    assert not any(line.startswith("Best") for line in alone.footer)


def test_rows_without_a_query_in_common_with_the_best_are_in_no_group():
    results = [cell("knn", 4, 0, 0.9), cell("mmr", 4, 0, 0.5, ids="other")]
    board = leaderboard(results, resamples=100, majority=False)
    assert [row.standing and row.standing.group for row in board.rows] == [1, None]
    assert "No query in common with knn, so in no rank group: mmr." in board.footer
