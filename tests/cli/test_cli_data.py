"""icl data: build, check, plan and card from the command line, and what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECIPE = """\
name: mine
model: fake
parts:
  - {file: rows.jsonl}
  - {format: {task: reviews, rows: 12}}
mix: {rows: 30}
exclude_test_of: questions
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [{"instruction": f"Say {n}.", "output": f"{n}!"} for n in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_build_says_the_mixture_what_was_left_out_and_where_it_is(
    icl: Callable[..., Any], recipe: Path
) -> None:
    said = icl("data", "build", "recipe.yaml", "-o", "out", "-q")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].split("\t") == ["part", "rows of its own", "rate", "drawn", "times each"]
    assert lines[1].split("\t")[:3] == ["file-rows.jsonl", "3", "0.2000"]
    assert "30 rows." in lines
    assert any(
        line.startswith("Test set of questions, ") and line.endswith("0 rows overlap.") for line in lines
    )
    assert f"Rows: {Path('out/mine/rows.jsonl')}" in lines
    assert len((recipe.parent / "out/mine/rows.jsonl").read_text(encoding="utf-8").splitlines()) == 30


def test_progress_counts_rows(icl: Callable[..., Any], recipe: Path) -> None:
    said = icl("data", "build", "recipe.yaml")
    assert "part file-rows.jsonl" in said.err
    assert "15/15 rows in" in said.err
    assert "predictions" not in said.err


def test_check_lists_everything_that_is_wrong(icl: Callable[..., Any], recipe: Path) -> None:
    said = icl("data", "check", "recipe.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out == ("recipe.yaml: 2 parts, models none; no row may hold an item of questions, reviews.\n")
    recipe.write_text(
        RECIPE.replace("rows.jsonl", "rosw.jsonl").replace("reviews", "riviews"), encoding="utf-8"
    )
    said = icl("data", "check", "recipe.yaml")
    assert said.code == 1
    assert len(said.err.splitlines()) == 2
    assert "'reviews'" in said.err.splitlines()[1]
    assert "recipe.yaml:4: parts.0: path: 'rosw.jsonl': no such file. Did you mean 'rows.jsonl'?" in said.err
    assert not (recipe.parent / "corpora").exists()


def test_plan_says_what_would_be_asked_and_writes_nothing(icl: Callable[..., Any], recipe: Path) -> None:
    recipe.write_text(
        "name: mine\nmodel: fake\nparts: [{self_instruct: {instructions: 10}}, {file: rows.jsonl}]\n",
        encoding="utf-8",
    )
    said = icl("data", "plan", "recipe.yaml")
    table = [line.split("\t") for line in said.out.splitlines()]
    assert table[0][:6] == ["part", "by", "model", "rows", "left out", "requests"]
    # two rounds of five lists, ten questions of kind, ten requests for instances: one round is enough
    assert table[1][:4] == ["self_instruct", "self_instruct", "fake", "10"]
    assert int(table[1][5]) == 5 + 10 + 10
    assert int(table[1][7].replace(",", "")) < int(table[1][6].replace(",", "")), "heads are shared"
    assert table[2][5] == "0"
    assert "at least so much is asked" in said.out
    assert {p.name for p in recipe.parent.iterdir()} == {"recipe.yaml", "rows.jsonl"}


def test_card_of_any_file(icl: Callable[..., Any], recipe: Path) -> None:
    said = icl("data", "card", "rows.jsonl")
    assert said.out.startswith("# rows.jsonl\n\n3 rows, 0 of them plain text.")
    found = json.loads(icl("data", "card", "rows.jsonl", "--json").out)
    assert (found["rows"], found["diversity"]["verbs"]) == (3, 1)
    (recipe.parent / "bad.jsonl").write_text('{"q": 1}\n', encoding="utf-8")
    said = icl("data", "card", "bad.jsonl")
    assert said.code == 2
    assert "bad.jsonl:1: is no instruction row: it has the keys q; allowed: instruction, output" in said.err


def test_an_experiment_is_no_recipe(icl: Callable[..., Any], recipe: Path) -> None:
    recipe.write_text(
        "name: e\nmodel: fake\ntask: reviews\ngrid: {selector: random, shots: 1}\n", encoding="utf-8"
    )
    said = icl("data", "build", "recipe.yaml")
    assert said.code == 2
    assert said.err == "icl: error: recipe.yaml: is an experiment, not a recipe: icl run recipe.yaml\n"
