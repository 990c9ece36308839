"""Curves and their figures are well-formed, in proportion and escaped."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.errors import ConfigError
from icl.experiments.records import Cell, CellResult
from icl.leaderboard import leaderboard
from icl.leaderboard.curves import curves, sparkline
from icl.leaderboard.svg import Point, curve_plot, padded, ticks
from icl.types import Prediction

EVIL = '<script>alert("1")</script>&'
SVG = "{http://www.w3.org/2000/svg}"


def cell(selector: str, shots: int, right: int, seed: int = 0, method: str = "direct") -> CellResult:
    predictions = tuple(
        Prediction(f"q{i}", (), "yes" if i < right else "no", "yes", i < right, output=EVIL)
        for i in range(20)
    )
    return CellResult(Cell("m", "t", selector, shots, "o", method, seed), predictions, complete=True)


@pytest.fixture
def results() -> list[CellResult]:
    found = [cell("zero_shot", 0, 8)]
    for shots, right in ((4, 10), (8, 12), (16, 15)):
        found += [cell("random", shots, right - 2), cell(EVIL, shots, right)]
    return found


def test_curves_join_rows_that_differ_in_shots_only(results):
    board = leaderboard([*results, cell("random", 4, 9, method="channel")], resamples=100)
    found = curves(board)
    assert {name: [p.x for p in line] for name, line in found.lines.items()} == {
        f"{EVIL} direct": [4, 8, 16],
        "random direct": [4, 8, 16],
        "random channel": [4],
    }
    assert found.levels == {"zero_shot": 0.4}
    root = ET.fromstring(found.to_svg())
    assert len(root.findall(f"{SVG}polyline")) == 3
    table = found.to_rich()
    assert table.row_count == 4


def test_curves_over_another_axis_and_over_nothing(results):
    board = leaderboard(results, resamples=100)
    assert all(p.x == 20 for line in curves(board, "queries").lines.values() for p in line)
    by_name = curves(board, "length", at=lambda row: len(row.selector))
    assert {p.x for p in by_name.lines["random 4"]} == {6.0}
    with pytest.raises(ConfigError, match="axis 'selector' is no number"):
        curves(board, "selector")
    assert curves(leaderboard(results[:1], resamples=100)).to_svg() == ""


def test_a_single_point_and_equal_values_still_have_a_scale():
    root = ET.fromstring(curve_plot({"a": [Point(4, 0.5, 0.5, 0.5)]}, {}, title="t", x_label="x"))
    (circle,) = root.findall(f"{SVG}circle")
    assert 0 < float(circle.get("cx")) < 760


def test_sparkline_by_hand():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([0.3, 0.3]) == "▄▄"
    assert sparkline([-1.0, 2.0], 0.0, 1.0) == "▁█"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_inside_and_few(low, span):
    high = low + span
    if high - low < 1e-9 * max(abs(low), 1.0):
        return
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    slack = 1e-6 * (high - low)
    assert all(low - slack <= t <= high + slack for t in found)
    margin = padded([low, high])
    assert margin[0] < low < high < margin[1]
