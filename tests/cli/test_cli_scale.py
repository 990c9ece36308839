"""icl scale: a grid by its shape."""

from __future__ import annotations

import json

import pytest

GRID = ("scale", "queries=100", "cells=2", "demonstrations=fixed", "shots=2", "demonstration=10", "query=5")


def test_a_line_for_each_number_of_workers(icl):
    said = icl(*GRID, "--workers", "1,4")
    header, *rows = (line.split("\t") for line in said.out.splitlines())
    assert header[:4] == ["workers", "tasks", "tokens forwarded", "repeated"]
    assert [row[0] for row in rows] == ["1", "4"]
    assert rows[0][1:4] == ["1", f"{20 + 2 * 20 + 200 * 5:,}", "0.0%"]
    assert rows[1][2] != rows[0][2]


def test_everything_as_json(icl):
    found = json.loads(icl(*GRID, "read=100", "weights=0", "--workers", "1", "--batch", "40", "--json").out)
    assert found["shape"]["queries"] == 100
    assert found["machines"]["read"] == 100
    (row,) = found["workers"]
    assert row["windows"] == 5
    assert row["tokens_forwarded"] == 5 * (20 + 2 * 20) + 200 * 5
    assert row["makespan"] == pytest.approx(row["tokens_forwarded"] / 100 + 200 * 0.0005 + 5 * 0.001)
    assert row["bound"] == "work"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["queris=3"], "unknown setting 'queris'. Did you mean 'queries'?"),
        (["queries"], "'queries': a setting is written KEY=VALUE"),
        (["cells=3"], "queries is missing"),
        (["queries=3", "queries=4"], "queries is given twice"),
        (["queries=many"], "queries is 'many'; allowed: a whole number"),
        (["queries=3", "read=0"], "read is 0; allowed: tokens a second"),
        (["queries=3", "--workers", "1,x"], "--workers: '1,x'; allowed"),
        (["queries=3", "--batch", "0"], "--batch: 0; allowed"),
    ],
)
def test_one_line_for_what_cannot_be(icl, arguments, said):
    found = icl("scale", *arguments)
    assert found.code == 2
    assert found.err.startswith(f"icl: error: {said}")
    assert len(found.err.splitlines()) == 1
