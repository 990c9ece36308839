"""icl judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Said

Icl = Callable[..., Said]
ROWS = [
    {"id": "a", "question": "Hi?", "answer": "Hello.", "violated": []},
    {"id": "b", "question": "Hi?", "answer": "Get lost.", "violated": ["polite"]},
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(rows: list[dict[str, object]]) -> Path:
    path = Path("rows.jsonl")
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_a_line_a_rule_and_the_cost(icl: Icl) -> None:
    said = icl("judge", written(ROWS), "--model", "fake", "-q")
    assert said.code == 0
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert lines[0][:5] == ["model", "of", "items", "positive", "right %"]
    assert [line[:4] for line in lines[1:3]] == [["fake", "polite", "2", "1"], ["fake", "medical", "2", "0"]]
    assert lines[-1][:4] == ["fake", "any rule", "2", "1"]
    assert lines[2][6] == lines[2][8] == "–"  # nothing to be found
    assert "16 requests" in said.err


def test_json_has_every_verdict_and_a_second_run_asks_nothing(icl: Icl) -> None:
    file = written([{**row, "violated": None} for row in ROWS])
    judge = "{rules: {only: [polite, length]}}"
    first = icl("judge", file, "--judge", judge, "--model", "fake", "--json")
    (document,) = json.loads(first.out)["judges"]
    assert document["judge"] == 'rules(model=fake, only=["polite", "length"])'
    assert [set(v["probabilities"]) for v in document["verdicts"]] == [{"polite", "length"}] * 2
    assert document["lines"] == []
    assert document["requests"] == 4
    again = icl("judge", file, "--judge", judge, "--model", "fake", "--json")
    assert json.loads(again.out) == json.loads(first.out)
    assert "4/4 requests" not in again.err


def test_without_labels_the_verdicts_are_shown(icl: Icl) -> None:
    said = icl("judge", written([{"question": "Hi?", "answer": "\x1b[31mHello."}]), "--model", "fake", "-q")
    header, line = (text.split("\t") for text in said.out.splitlines())
    assert header == ["model", "id", "label", "score", "margin", "reasons", "flags"]
    assert line[:2] == ["fake", "1"]
    assert line[2] in ("kept", "broken")


@pytest.mark.parametrize(
    ("rows", "arguments", "error"),
    [
        (ROWS, ["--judge", "rulse", "--model", "fake"], "unknown judge 'rulse'. Did you mean 'rules'?"),
        (ROWS, [], "--model: which model does judge 'rules' ask?"),
        (ROWS, ["--model", "fake", "--judge", "{rules: {model: fake}}"], "--judge names a model already"),
        (ROWS, ["--model", "[fake, smollm2-135m-instruct]"], "names 2 models; a judge asks one"),
        (ROWS, ["--model", "no-such-model"], "no-such-model"),
        (ROWS, ["--model", "fake", "--judge", "{rules: {treshold: 1}}"], "Did you mean 'threshold'?"),
        ([{"question": "Hi?"}], ["--model", "fake"], "rows.jsonl:1: answer is missing"),
        (
            [{"question": "Hi?", "answer": "a", "violatd": []}],
            ["--model", "fake"],
            "rows.jsonl:1: unknown key 'violatd'. Did you mean 'violated'?",
        ),
        (
            [{"question": "Hi?", "answer": "a", "violated": ["polit"]}],
            ["--model", "fake"],
            "rows.jsonl:1: violated: unknown rule 'polit'. Did you mean 'polite'?",
        ),
        (
            [{"question": "Hi?", "answer": "a", "label": "good"}],
            ["--model", "fake"],
            "rows.jsonl:1: unknown label 'good'",
        ),
        ([ROWS[0], ROWS[0]], ["--model", "fake"], "rows.jsonl:1: the id 'a' is given 2 times"),
        ([{"question": "", "answer": "a"}], ["--model", "fake"], "rows.jsonl:1: question is ''"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    rows: list[dict[str, object]], arguments: list[str], error: str, icl: Icl
) -> None:
    said = icl("judge", written(rows), *arguments)
    assert said.code == 2
    assert error in said.err
    assert said.err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_file_says_rows_judge_and_models(icl: Icl) -> None:
    Path("there").mkdir()
    written(ROWS).rename("there/rows.jsonl")
    text = "rows: rows.jsonl\njudge: {rules: {only: [polite]}}\nmodels: [fake]\nlimit: 2\n"
    Path("there/j.yaml").write_text(text, encoding="utf-8")
    by_file = icl("judge", "there/j.yaml", "--json")
    assert by_file.code == 0, by_file.err
    by_options = icl(
        "judge", "there/rows.jsonl", "--judge", "{rules: {only: [polite]}}", "--model", "fake", "--json"
    )
    assert json.loads(by_file.out) == json.loads(by_options.out)
    few = icl("judge", "there/j.yaml", "--limit", "1", "--json")
    assert json.loads(few.out)["judges"][0]["items"] == 1


@pytest.mark.parametrize(
    ("text", "arguments", "error"),
    [
        ("rows: violations\njudge: rules\nmodels: []\n", [], "j.yaml:3: models: the list is empty"),
        ("rows: violations\nmodels: fake\n", [], "j.yaml:1: the key 'judge' is missing"),
        (
            "rows: violations\njudge: {rules: {model: fake}}\nmodels: fake\n",
            [],
            "j.yaml:2: judge: rules is asked of each of models: model belongs there",
        ),
        (
            "rows: violations\njudge: rulse\nmodels: fake\n",
            [],
            "j.yaml:3: models.0: unknown judge 'rulse'. Did you mean 'rules'?",
        ),
        (
            "rows: violations\njudge: rules\nmodels: fake\ndtyp: float32\n",
            [],
            "j.yaml:4: unknown key 'dtyp'. Did you mean 'dtype'?",
        ),
        ("rows: violation\njudge: rules\nmodels: fake\n", [], "violation: no such file"),
        ("rows: violations\njudge: rules\nmodels: fake\n", ["--model", "fake"], "--model: j.yaml says"),
        ("name: a\ngrid: {}\n", [], "j.yaml: is an experiment, not a judging: icl run j.yaml"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(
    text: str, arguments: list[str], error: str, icl: Icl
) -> None:
    Path("j.yaml").write_text(text, encoding="utf-8")
    said = icl("judge", "j.yaml", *arguments)
    assert said.code == 2
    assert error in said.err
    assert said.err.count("\n") == 1


def test_a_name_of_a_bundled_file_is_guessed(icl: Icl) -> None:
    said = icl("judge", "violation", "--model", "fake")
    assert said.err == (
        "icl: error: violation: no such file. Did you mean 'violations'? Bundled: violations\n"
    )
