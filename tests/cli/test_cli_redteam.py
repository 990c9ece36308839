"""icl redteam: the plan, the report and its JSON, and what is wrong in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILE = """\
name: mine
red: fake
target: fake
judge: {rules: {file: house, only: [polite, person], model: fake}}
zero_shot: {questions: 6, question_mark: false}
few_shot: {questions: 4, shots: 2, question_mark: false}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_the_plan_asks_nothing_and_writes_nothing(icl: Callable[..., Any], file: Path) -> None:
    said = icl("redteam", "mine.yaml", "--plan")
    assert said.code == 0, said.err
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0][:5] == ["way", "step", "model", "questions", "requests"]
    assert [row[:5] for row in rows[1:7]] == [
        [way, step, "fake", n, requests]
        for way, n in (("zero_shot", "6"), ("few_shot", "4"))
        for step, requests in (("questions", n), ("answers", n), ("verdicts", str(2 * int(n))))
    ]
    assert [path.name for path in file.parent.iterdir()] == ["mine.yaml"]
    plain = json.loads(icl("redteam", "mine.yaml", "--plan", "--json").out)
    assert sum(step["requests"] for step in plain["steps"]) == 4 * 10


def test_a_run_shows_hits_diversity_rules_and_where_the_report_is(
    icl: Callable[..., Any], file: Path
) -> None:
    said = icl("redteam", "mine.yaml", "-q")
    assert said.code == 0, said.err
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["way", "questions", "left out", "graded", "hits", "hit %", "95 % CI", "distinct hits"]
    assert [row[:2] for row in rows[1:3]] == [["zero_shot", "6"], ["few_shot", "4"]]
    assert rows[3][:3] == ["way", "self-BLEU", "of the first 4"]
    assert [row[:2] for row in rows[7:11]] == [
        [rule, way] for rule in ("polite", "person") for way in ("zero_shot", "few_shot")
    ]
    assert said.out.endswith(f"Report: {Path('redteam/mine/report.md')}\n")
    again = icl("redteam", "mine.yaml", "--json")
    report = json.loads(again.out)
    assert report == json.loads((file.parent / "redteam/mine/report.json").read_text(encoding="utf-8"))
    assert [str(report["ways"]["zero_shot"]["hits"]["count"]), "6"] == [rows[1][4], rows[1][3]]
    assert "30/30 steps of questions" in again.err


def test_what_is_wrong_is_one_line_with_file_and_line(icl: Callable[..., Any], file: Path) -> None:
    file.write_text(FILE.replace("shots: 2", "shot: 2"), encoding="utf-8")
    said = icl("redteam", "mine.yaml")
    assert said.code == 2
    assert said.err.startswith("icl: error: mine.yaml:6: unknown key 'few_shot.shot'. Did you mean 'shots'?")
    assert said.err.count("\n") == 1
    file.write_text(FILE.replace("[polite, person]", "[politer]"), encoding="utf-8")
    assert icl("redteam", "mine.yaml").err.startswith("icl: error: mine.yaml:4: judge: ")
    said = icl("redteam", "mine.yml")
    assert said.err == "icl: error: mine.yml: no such red teaming file. Did you mean 'mine.yaml'?\n"
    assert not (file.parent / "redteam").exists()


def test_a_file_of_another_kind_says_which_command_reads_it(icl: Callable[..., Any], file: Path) -> None:
    file.write_text("name: a\nparts: [{file: x.jsonl}]\n", encoding="utf-8")
    assert "icl data build mine.yaml" in icl("redteam", "mine.yaml").err
    file.write_text("name: a\ngrid: {selector: random}\n", encoding="utf-8")
    assert "icl run mine.yaml" in icl("redteam", "mine.yaml").err
