"""Bradley-Terry over tasks: planted strengths come back, intervals hold them, tasks weigh the same."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from icl.errors import DataError
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.analysis import values_of
from icl.leaderboard.layout import Group, Layout
from icl.leaderboard.measures import Judged, Measure, stand_in_task
from icl.leaderboard.overall import strengths
from icl.leaderboard.overall_table import overall
from icl.metrics.shared.strengths import fit
from icl.seeding import generator
from icl.types import Prediction

from .cells import board_cells, cell

ANSWERS = {right: Prediction("q", (), "a" if right else "b", "a", right) for right in (True, False)}


def group(name: str, task: str, scores) -> Group:
    where = Cell("tiny", task, name, 4, "as_selected", "direct", 0)
    grid = tuple(tuple(ANSWERS[bool(x)] for x in line) for line in scores)
    lay = Layout(tuple(range(len(grid))), tuple(map(str, range(len(grid[0])))), grid)
    return Group(where.row, (CellResult(where, (), complete=True),), (), lay)


def ordered(groups):
    measure = Measure({g.cell.task: Judged("accuracy", None, stand_in_task("t", [])) for g in groups})
    return {one.cell.selector: one for one in strengths(groups, values_of(groups, measure))}


def rasch(rng, abilities, tasks, seeds, luck=0.0):
    """Rows that are right with log-odds ability - difficulty + the seed's luck; difficulties of any size."""
    groups = []
    for task, (queries, shift) in tasks.items():
        hard = shift + 1.5 * rng.standard_normal((1, queries))
        for name, ability in abilities.items():
            odds = ability - hard + luck * rng.standard_normal((seeds, 1))
            groups.append(group(name, task, rng.random((seeds, queries)) < 1 / (1 + np.exp(-odds))))
    return groups


PLANTED = {"a": 0.8, "b": 0.3, "c": 0.0, "d": -0.2, "e": -0.9}
TASKS = {"easy": (300, -2.0), "middle": (150, 0.0), "hard": (300, 2.0)}


def test_planted_strengths_are_recovered_whatever_the_difficulty():
    found = ordered(rasch(generator(0, "planted"), PLANTED, TASKS, 8))
    assert list(found) == list(PLANTED)
    assert [one.strength.value for one in found.values()] == pytest.approx(list(PLANTED.values()), abs=0.12)
    assert found["a"].leads
    assert not found["e"].leads
    pairs = [1 / (1 + np.exp(-(0.8 - other))) for name, other in PLANTED.items() if name != "a"]
    assert found["a"].wins == pytest.approx(np.mean(pairs), abs=0.03)


@pytest.mark.parametrize("luck", [0.0, 0.4])
def test_intervals_hold_planted_strengths_and_the_best_is_seldom_put_out(luck):
    """Nominal 95 %; noise of 100 boards x 5 strengths, which hang together: about 1.5 points."""
    rng = generator(1, "held", f"{luck}")
    held = out = 0
    for _ in range(100):
        found = ordered(rasch(rng, PLANTED, {"x": (60, -1.0), "y": (60, 0.5)}, 4, luck))
        held += sum(PLANTED[name] in one.strength for name, one in found.items())
        out += not found["a"].leads
    assert 0.91 <= held / 500 <= 0.995
    assert out <= 8


def test_two_settings_are_the_log_odds_of_their_wins():
    ours, theirs = np.zeros((1, 100)), np.zeros((1, 100))
    ours[0, :30], theirs[0, 20:40] = 1, 1  # 20 and 10 alone
    found = ordered([group("ours", "t", ours), group("theirs", "t", theirs)])
    gap = found["ours"].strength.value - found["theirs"].strength.value
    assert gap == pytest.approx(np.log(20.5 / 10.5))
    assert fit(np.array([[0.0, 3.0], [1.0, 0.0]])) == pytest.approx([np.log(3) / 2, -np.log(3) / 2])


def test_tasks_weigh_the_same_however_many_queries_they_have():
    rng = generator(2, "weights")
    win, lose = rng.random((1, 1000)) < 0.8, rng.random((1, 1000)) < 0.4
    both = [group("a", "big", win), group("b", "big", lose)]
    both += [group("a", "small", lose[:, :100]), group("b", "small", win[:, :100])]
    found = ordered(both)
    assert abs(found["a"].strength.value - found["b"].strength.value) < 0.4


def test_a_setting_that_never_loses_has_a_strength_and_equals_have_one():
    found = ordered(
        [group(n, "t", s) for n, s in zip("abc", np.array([[[1] * 20], [[0] * 20], [[0] * 20]]), strict=True)]
    )
    assert 1 < found["a"].strength.value < 10
    assert found["b"].strength.value == pytest.approx(found["c"].strength.value)


def test_a_missing_task_is_bridged_and_what_nothing_connects_is_refused():
    rng = generator(3, "bridge")
    groups = rasch(rng, {"a": 1.0, "b": 0.0}, {"x": (400, 0.0)}, 3)
    groups += rasch(rng, {"b": 0.0, "c": -1.0}, {"y": (400, 0.0)}, 3)
    found = ordered(groups)
    assert found["a"].strength.value - found["c"].strength.value == pytest.approx(2.0, abs=0.5)
    assert [found[name].tasks for name in "abc"] == [1, 2, 1]
    apart = [group("a", "x", np.ones((1, 5))), group("c", "y", np.ones((1, 5)))]
    with pytest.raises(DataError, match="no query in common between a 4-shot"):
        ordered(apart)


def test_every_notation_says_the_same_numbers():
    results = [*board_cells(), *(replace(r, cell=replace(r.cell, task="trec")) for r in board_cells())]
    table = overall(results)
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    whole = json.loads(table.to_json())
    assert whole["tasks"] == ["sst2", "trec"]
    assert [line["strength"] for line in lines] == [str(row["strength"]) for row in whole["rows"]]
    assert "majority_class" not in {line["selector"] for line in lines}
    assert lines[0]["selector"] == "knn"
    shown = f"{float(lines[0]['strength']):+.2f}"
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(table.to_rich(100))
    for text in (table.to_markdown(), table.to_latex(), console.file.getvalue()):
        assert shown in text
    assert rf"\textbf{{{shown}}}" in table.to_latex()


def test_what_cannot_be_ordered_is_said():
    with pytest.raises(DataError, match="fewer than two settings"):
        overall([cell("knn")])
    with pytest.raises(DataError, match="no mean of scores"):
        overall(board_cells(), metric="macro_f1")
    with pytest.raises(DataError, match="no results"):
        overall([])
