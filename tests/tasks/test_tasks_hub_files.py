"""What lies on the hub is read as if it lay beside the task file: over HTTP, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icl.errors import DataError
from icl.tasks import load_task

from .hub_server import COMMIT, hub

ROWS = [
    '{"text": "2024-01-05", "options": ["007", "008"], "answer": "A"}',
    '{"text": "2024-01-06", "options": [1.50, 2], "answer": "B"}',
    '{"text": "true", "options": ["null", "true"], "answer": "A"}',
]
TABLE = "text,answer\n007,NA\n1.50,None\n"
CHOICES = """\
name: seen
kind: multiple_choice
inputs: [text]
template: {query: "{{ text }}"}
source:
  %s
  fields: {choices: options}
"""
STRINGS = """\
name: table
kind: string
inputs: [text]
template: {query: "{{ text }}"}
source:
  %s
"""
SESSION = """\
import json, sys
from icl.tasks import load_task
for name in sys.argv[1:]:
    data = load_task(name)
    rows = [[e.text, e.target, dict(e.choices)] for e in data.test]
    print(json.dumps([data.origin, rows]))
"""


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICL_DATA", raising=False)


def repositories(root: Path) -> None:
    lines = root / "own" / "lines"
    (lines / "data").mkdir(parents=True)
    (lines / "data" / "test.jsonl").write_text("\n".join(ROWS))
    (lines / "data" / "train.jsonl").write_text("not asked for")
    (lines / "README.md").write_text("# Lines\n")
    (root / "own" / "table").mkdir()
    (root / "own" / "table" / "test.csv").write_text(TABLE)


def session(folder: Path, endpoint: str, *names: str, offline: bool = False) -> list[list[object]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "ICL_"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "cache"), "NO_PROXY": "127.0.0.1"}
    environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    command = [sys.executable, "-c", SESSION, *names]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_same_rows_from_the_hub_from_its_cache_and_from_files(tmp_path: Path) -> None:
    repositories(tmp_path / "hub")
    names = ("seen.yaml", "table.yaml")
    for name, text, repository in zip(names, (CHOICES, STRINGS), ("lines", "table"), strict=True):
        (tmp_path / name).write_text(text % f"hub: {{path: own/{repository}, splits: {{test: test}}}}")
    with hub(tmp_path / "hub") as (endpoint, asked):
        online = session(tmp_path, endpoint, *names)
        downloaded = [line for line in asked if line.startswith("GET /datasets/") and "/data/" in line]
        offline = session(tmp_path, endpoint, *names, offline=True)
    assert [origin for origin, _ in online] == [f"hub own/{name} at {COMMIT}" for name in ("lines", "table")]
    assert offline == online
    assert downloaded == [f"GET /datasets/own/lines/resolve/{COMMIT}/data/test.jsonl"], "no other split"
    (tmp_path / "seen.yaml").write_text(CHOICES % "files: {test: hub/own/lines/data/test.jsonl}")
    (tmp_path / "table.yaml").write_text(STRINGS % "files: {test: hub/own/table/test.csv}")
    for name, (_, rows) in zip(names, online, strict=True):
        beside = load_task(tmp_path / name).test
        assert [[e.text, e.target, dict(e.choices)] for e in beside] == rows
    assert online[0][1] == [
        ["2024-01-05", "A", {"A": "007", "B": "008"}],
        ["2024-01-06", "B", {"A": "1.50", "B": "2"}],
        ["true", "A", {"A": "null", "B": "true"}],
    ]
    assert online[1][1] == [["007", "NA", {}], ["1.50", "None", {}]]


def test_declared_classes_and_delimiters_are_followed_and_other_settings_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = """\
---
configs:
- config_name: default
  data_files: [{split: test, path: rows.csv}]
  sep: ";"
%s
dataset_info:
  features:
  - {name: text, dtype: string}
  - {name: answer, dtype: {class_label: {names: {'0': low, '1': high}}}}
---
"""
    folder = tmp_path / "classes"
    folder.mkdir()
    (folder / "rows.csv").write_text("text;answer\na, b;1\nc;0\n")
    (folder / "README.md").write_text(card % "")
    task = tmp_path / "t.yaml"
    fields = "\n  fields: {target: {column: answer, transforms: [class_names]}}"
    task.write_text(STRINGS % f"hub: {{path: {folder}, splits: {{test: test}}}}{fields}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    assert [(e.text, e.target) for e in load_task(task).test] == [("a, b", "high"), ("c", "low")]
    (folder / "README.md").write_text(card % "  skiprows: 1")
    with pytest.raises(DataError, match=r"t.yaml:6: source.hub: .*sets 'skiprows'.* name them under 'files'"):
        load_task(task)
    task.write_text(task.read_text().replace("test: test", "test: validation"))
    with pytest.raises(DataError, match=r"'validation' of .*: there is no such split; it has: test"):
        load_task(task)
