"""icl read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from icl.cli import main

ROWS = [
    {"kind": "numeric", "text": "<think>3?</think> The answer is 4.", "gold": "4"},
    {"kind": "multiple_choice", "choices": {"A": "ant", "B": "bee"}, "text": "Not A, so B.", "gold": "A"},
    {"kind": "boolean", "text": "There is no such bird."},
]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["read", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "outputs.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return str(path)


def test_a_line_an_output_and_a_summary(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file) == 0
    said = capsys.readouterr()
    cells = [line.split("\t")[1:4] for line in said.out.splitlines()[1:]]
    assert cells == [["4", "right", ""], ["B", "wrong", ""], ["–", "", "unparsed"]]
    assert said.err.startswith("2 of 3 outputs have an answer; 1 of 2 right; unparsed 1")


def test_json_and_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"text": "It is 6 x 7, or 42.", "gold": 42}\n'))
    assert run("-", "--kind", "numeric", "--where", "trigger", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"][0] == {
        "place": "stdin:1",
        "answer": "42",
        "flags": ["no_trigger"],
        "span": [16, 18],
        "said": "42",
        "gold": ["42"],
        "right": True,
    }
    assert document["summary"]["right"] == 1


def test_golds_in_the_words_of_their_language_and_what_an_answer_was_begun_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"kind": "boolean", "language": "fr", "text": "Oui, bien sûr.", "gold": "oui"},
        {"kind": "numeric", "text": "It may be 3", "begin": "<think>\n", "gold": None},
        {"kind": "numeric", "text": "3? 4?</think> 5", "begin": "<think>\n", "gold": 5},
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, rows))))
    assert run("-", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["answer"] for row in document["rows"]] == ["yes", None, "5"]
    assert document["summary"]["right"] == 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"kind": "boolean", "text": "Yes", "gold": "maybe"},
            "the gold 'maybe' is none of the labels: yes, no",
        ),
        ({"kind": "numeric", "text": "4", "begin": 4}, "begin is 4: must be what the answer was begun with"),
    ],
)
def test_what_cannot_be_right_is_said(
    row: dict[str, object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(row)))
    assert run("-") == 2
    assert f"stdin:1: {said}" in capsys.readouterr().err


def test_json_steers_no_terminal_and_reads_back_equal(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\u202eab\x9b2J\U000e0041 \U0001f600 ü\x7f"
    Path(file).write_text(json.dumps({"kind": "string", "text": text, "gold": text}), encoding="utf-8")
    assert run(file, "--json") == 0
    out = capsys.readouterr().out
    assert not {"\u202e", "\x9b", "\U000e0041", "\x7f"} & set(out)
    assert "ü" in out
    assert json.loads(out)["rows"][0]["gold"] == [text]


def test_what_is_wrong_is_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text('{"kind": "numerical", "text": "4"}', encoding="utf-8")
    assert run(file) == 2
    assert capsys.readouterr().err.startswith(
        f"icl: error: {file}:1: unknown kind 'numerical'. Did you mean 'numeric'"
    )
    assert run("missing.jsonl") == 2
    assert capsys.readouterr().err == "icl: error: missing.jsonl cannot be read: No such file or directory\n"


def test_a_task_that_the_option_names_wrongly_is_no_fault_of_a_row(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--task", "gsm8") == 2
    said = capsys.readouterr().err
    assert said.startswith("icl: error: --task: unknown task 'gsm8'. Did you mean 'gsm8k'?")


def test_the_rows_of_a_test_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Path(__file__).parents[1] / "prompts" / "kinds_of_outputs.jsonl"
    count = len(rows.read_text(encoding="utf-8").splitlines())
    assert count > 300
    assert run(str(rows)) == 0
    assert f" {count} of {count} right;" in capsys.readouterr().err


def test_marks_of_thinking_blocks(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = "{{The answer is 3?}} I say 4."
    own = {"kind": "numeric", "text": text, "think": ["{{", "}}"]}
    Path(file).write_text("\n".join(map(json.dumps, [{**own, "think": []}, own])), encoding="utf-8")
    assert run(file, "--json") == 0
    assert [row["answer"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["3", "4"]
    Path(file).write_text(json.dumps({"kind": "numeric", "text": text}), encoding="utf-8")
    assert run(file, "--json", "--think", '[["{{", "}}"]]') == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["answer"] == "4"
    assert run(file, "--think", "{{") == 2
    assert "--think" in capsys.readouterr().err
    Path(file).write_text(json.dumps({**own, "think": [["{{"]]}), encoding="utf-8")
    assert run(file) == 2
    assert ":1: think is [['{{']]: must be an opening and a closing mark" in capsys.readouterr().err
