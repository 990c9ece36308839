"""Curves over the number of chains, on chains written down by hand."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from icl.errors import DataError
from icl.experiments.records import Cell, CellResult
from icl.leaderboard import chain_curves
from icl.leaderboard.chains import doubling
from icl.leaderboard.names import short_labels
from icl.types import Prediction, Task, Template

TASK = Task("sums", "numeric", Template("{{ text }}"), ("text",))
METHOD = "self_consistency(n=4, temperature=0.5)"


def prediction(query: str, answers: list[str | None], **details) -> Prediction:
    """A prediction with these chains; the gold answer is 1."""
    chains = [{"answer": a, "steps": i + 1} for i, a in enumerate(answers)]
    return Prediction(query, (), answers[0], "1", answers[0] == "1", details={"chains": chains, **details})


def result(predictions, method=METHOD, seed=0, task="sums", complete=True) -> CellResult:
    cell = Cell("tiny", task, "zero_shot", 0, "as_selected", method, seed)
    return CellResult(cell, tuple(predictions), complete=complete)


def values(curves, row=0) -> dict[str, list[float]]:
    return {rule: [p.value for p in points] for rule, points in curves.rows[row].points.items()}


TWO = [
    prediction("q1", ["1", "1.0", "2", None]),
    prediction("q2", ["2", "2", "3", "1"]),
]


def test_votes_and_pass_at_every_doubling():
    curves = chain_curves([result(TWO)], {"sums": TASK}, resamples=200)
    (row,) = curves.rows
    assert row.ns == (1, 2, 4)
    found = values(curves)
    # q1: two of four chains are right (1 = 1.0), the vote of all is; q2: one of four, the vote is not.
    assert found["any"] == pytest.approx([(2 / 4 + 1 / 4) / 2, (5 / 6 + 1 / 2) / 2, 1.0])
    assert found["majority"][0] == found["any"][0], "one chain votes for itself"
    assert found["majority"][2] == 0.5
    # longest: the last three of four vote (80 %); q1: 1.0, 2 -> the first; q2: 2, 3, 1 -> 2.
    assert found["longest"][2] == 0.5
    assert "weighted" not in found
    for points in row.points.values():
        assert all(p.low <= p.value <= p.high for p in points)


def test_a_verifiers_scores_decide_where_there_are_some():
    scored = [prediction("q", ["2", "2", "1"], scores=[0.1, 0.1, 0.9])]
    curves = chain_curves([result(scored)], {"sums": TASK}, resamples=100)
    assert (values(curves)["weighted"][-1], values(curves)["majority"][-1]) == (1.0, 0.0)
    assert "verifier@N: weighted" in curves.footer[0]


def test_seeds_are_averaged_and_single_chains_left_out():
    greedy = result([prediction("q1", ["1"]), prediction("q2", ["1"])], "few_shot")
    no_chains = result([Prediction("q1", (), "1", "1", True)], "generate")
    open_row = result(TWO[:1], "ensemble(n=4)", complete=False)
    seeds = [result(TWO, seed=0), result([TWO[0], prediction("q2", ["1"] * 4)], seed=1)]
    curves = chain_curves([greedy, no_chains, open_row, *seeds], {"sums": TASK}, resamples=100)
    (row,) = curves.rows
    assert (row.setting, row.seeds, row.queries) == (METHOD, 2, 2)
    assert row.points["majority"][-1].value == 0.75
    with pytest.raises(DataError, match="no complete row holds several chains: self_consistency"):
        chain_curves([greedy, no_chains])


def test_adaptive_chains_count_in_the_order_drawn_as_far_as_all_go():
    drawn = [
        prediction("q1", ["1", "1"], adaptive={"samples": 2}),
        prediction("q2", ["2", "1", "1", "1"], adaptive={"samples": 4}),
    ]
    curves = chain_curves([result(drawn)], {"sums": TASK}, resamples=100)
    assert curves.rows[0].ns == (1, 2)
    assert values(curves)["any"] == [0.5, 1.0]
    assert any("drawn until the vote was decided, 2 to 4 chains" in line for line in curves.footer)


@pytest.mark.parametrize(("most", "ns"), [(1, (1,)), (2, (1, 2)), (8, (1, 2, 4, 8)), (10, (1, 2, 4, 8, 10))])
def test_numbers_of_chains(most, ns):
    assert doubling(most) == ns


def test_every_notation_holds_the_same_numbers():
    names = (METHOD, "self_consistency(n=4, temperature=0.7)")
    results = [result(TWO, name, task=task) for task in ("sums", "more") for name in names]
    curves = chain_curves(results, {"sums": TASK, "more": TASK}, resamples=100)
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(curves.to_rich(80))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("4   50.0 [") for line in lines) == 4
    assert curves.to_markdown().count("| N | maj@N | longest@N | pass@N |") == 4
    rows = list(csv.DictReader(io.StringIO(curves.to_csv())))
    assert len(rows) == 4 * 3 * 3
    assert {r["value"] for r in rows if (r["rule"], r["n"]) == ("majority", "4")} == {"0.5"}
    plots = curves.to_svg()
    assert list(plots) == [("tiny", "sums"), ("tiny", "more")]
    for svg in plots.values():
        assert svg.startswith("<svg")
        assert "self_consistency(temperature=0.7) pass@N" in svg
        assert svg.count("<polyline") == 4


def test_short_labels_keep_what_differs():
    labels = ["a(n=4, t=0)", "a(n=8, t=0)", 'b(of={"c": {"x": 1, "y": 2}})', "d"]
    assert short_labels(labels) == ["a(n=4)", "a(n=8)", "b", "d"]
    assert short_labels(["a", "a"]) == ["a", "a"]
    assert short_labels(["a", "a(n=2)"]) == ["a", "a(n=2)"]


def test_any_accepted_gold_counts_and_no_interval_is_without_width():
    golds = {"golds": ["USA", "United States"]}
    names = [
        prediction("q1", ["United States", "united states.", "France"], **golds),
        prediction("q2", ["usa", "USA", "U S A"], **golds),
    ]
    task = Task("sums", "string", Template("{{ text }}"), ("text",))
    curves = chain_curves([result(names)], {"sums": task}, ns=[3, 1])
    (row,) = curves.rows
    assert (row.ns, row.most) == ((3, 1), 3)
    found = values(curves)
    assert found["any"] == pytest.approx([1.0, 5 / 6])
    assert found["majority"] == pytest.approx([1.0, 5 / 6])
    assert all(p.low < p.value or p.high > p.value for points in row.points.values() for p in points)
    with pytest.raises(DataError, match="n is 4; every query has 3 chains"):
        chain_curves([result(names)], {"sums": task}, ns=[4])
