"""Golds, labels and reading rules of a task file of one's own, from the file to the prediction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import icl
from icl.errors import ConfigError, DataError
from icl.tasks import load_task
from icl.tasks.outputs import read_outputs, summarise


def write(folder: Path, kind: str, rows: list[dict[str, Any]], **keys: Any) -> str:
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    template = {"query": "Q: {{ q }}\nA:", **keys.pop("template", {})}
    source = {"files": {"test": "rows.jsonl"}, **keys.pop("source", {})}
    task = {"name": "own", "kind": kind, "inputs": ["q"], "template": template, "source": source, **keys}
    path = folder / "task.yaml"
    path.write_text(json.dumps(task, indent=1), encoding="utf-8")
    return str(path)


def test_a_gold_that_does_not_come_back_is_an_error_or_skipped(tmp_path: Path) -> None:
    rows = [{"q": "a", "answer": "I have no idea"}, {"q": "b", "answer": "Oslo"}]
    with pytest.raises(DataError, match=r"rows.jsonl:1: field 'answer': the gold .* is read as nothing"):
        load_task(write(tmp_path, "string", rows))
    kept = load_task(write(tmp_path, "string", rows, source={"skip_bad_rows": True}))
    assert [example.target for example in kept.test] == ["Oslo"]


def test_several_golds(tmp_path: Path) -> None:
    data = load_task(write(tmp_path, "string", [{"q": "a", "answer": ["Oslo", "Kristiania"]}]))
    assert data.test[0].golds == ("Oslo", "Kristiania")
    same = load_task(write(tmp_path, "string", [{"q": "a", "answer": "Oslo"}]))
    assert data.fingerprint != same.fingerprint


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"language": "dee"}, r"task.yaml:\d+: language: unknown language 'dee'. Did you mean 'de'"),
        ({"answer": {"pattern": "So: .+"}}, r"task.yaml:\d+: answer.pattern: .* has no group"),
        ({"answer": {"pattern": "So: (.+"}}, r"answer.pattern: .* is no regular expression"),
        ({"answer": {"tolerance": -1}}, r"answer.tolerance: is -1: must be an amount"),
        ({"answer": {"think": ["<a>"]}}, r"answer.think: .* an opening and a closing mark"),
    ],
)
def test_rules_that_cannot_be(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task(write(tmp_path, "numeric", [{"q": "a", "answer": 1}], **keys))


@pytest.mark.parametrize(
    ("labels", "keys", "message"),
    [
        (["eu", "EU"], {}, "'EU' stands for 'eu' already"),
        (["sci-fi", "sci fi"], {}, "stands for 'sci-fi' already"),
        (
            ["good", "grim"],
            {"template": {"answer": " {{ answer[0] }}"}},
            "writes 'good' and 'grim' alike, as 'g'",
        ),
        (["good", "grim"], {"template": {"answer": " fine"}}, "writes 'good' and 'grim' alike"),
    ],
)
def test_labels_that_no_text_tells_apart(
    tmp_path: Path, labels: list[str], keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task(write(tmp_path, "classification", [{"q": "a", "label": labels[0]}], labels=labels, **keys))


def test_labels_that_differ_by_a_sign(tmp_path: Path) -> None:
    rows = [{"q": "a", "label": "-1"}, {"q": "b", "label": "1"}]
    assert len(load_task(write(tmp_path, "classification", rows, labels=["-1", "0", "1"])).test) == 2


def test_any_gold_counts_in_a_run_and_labels_take_one(tmp_path: Path) -> None:
    rows = [{"q": f"city {at}", "answer": ["Oslo", "Kristiania"]} for at in range(6)]
    path = write(tmp_path, "string", rows)
    experiment = {"name": "e", "model": "fake", "task": path, "pool": 3, "test": 3}
    grid = {"selector": ["random"], "shots": [1], "method": ["generate"]}
    run = icl.run({**experiment, "grid": grid}, output=tmp_path / "runs")
    prediction = run.results[-1].predictions[0]
    assert prediction.details["golds"] == ["Oslo", "Kristiania"]
    labelled = write(
        tmp_path,
        "boolean",
        [{"q": f"s {at}", "answer": ["yes", "no"]} for at in range(6)],
        labels=["yes", "no"],
    )
    with pytest.raises(ConfigError, match="compares labels with one gold, and 6 rows"):
        icl.run(
            {**experiment, "name": "f", "task": labelled, "grid": {**grid, "method": ["direct"]}},
            output=tmp_path / "runs",
        )


def test_outputs_from_anywhere() -> None:
    lines = [
        json.dumps({"text": "The answer is 5 x 8, or 40.", "kind": "numeric", "gold": [39, 40], "more": 1}),
        json.dumps({"text": "I cannot tell.", "kind": "boolean", "right": None}),
        json.dumps({"output": "(C)", "kind": "multiple_choice", "choices": ["A", "B", "C"], "gold": "B"}),
        "",
        json.dumps({"text": "So the answer is yes.", "task": "coin_flip"}),
    ]
    rows = read_outputs(lines, "here")
    assert [row.found.answer for row in rows] == ["40", None, "C", "yes"]
    assert [row.right for row in rows] == [True, True, False, None]
    assert rows[-1].place == "here:5"
    total = summarise(rows)
    assert (total.outputs, total.answers, total.judged, total.right) == (4, 3, 3, 2)
    assert total.flags == {"abstained": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x"}, "here:1: has neither task nor kind"),
        ({"text": 5, "kind": "numeric"}, "text is 5: must be the output as text"),
        ({"text": "x", "kind": "number"}, "unknown kind 'number'. Did you mean 'numeric'"),
        ({"text": "x", "kind": "classification"}, "needs a list of two or more"),
        ({"text": "x", "kind": "numeric", "where": "frist"}, "unknown where 'frist'. Did you mean 'first'"),
        ({"text": "x", "kind": "numeric", "gold": "4,5"}, "'4,5' is not a number"),
        ({"text": "x", "kind": "numeric", "language": "fre"}, "unknown language 'fre'. Did you mean 'fr'"),
        ({"text": "x", "task": "gms8k"}, "unknown task 'gms8k'. Did you mean 'gsm8k'"),
    ],
)
def test_rows_that_cannot_be_read(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read_outputs([json.dumps(row)], "here")
