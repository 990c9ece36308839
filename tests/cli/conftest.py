"""A finished run of the fake model, and the command line called in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from icl.cli import main

TASK = """\
name: mine
kind: classification
inputs: [text]
labels: [good, bad]
template: {query: "Text: {{ text }}\\nLabel:"}
source:
  files: {train: pool.jsonl, test: queries.jsonl}
"""
EXPERIMENT = """\
name: small
model: fake
task: task.yaml
pool: 20
test: 6
seeds: [0, 1]
encoder: hashed
grid:
  selector: [random, {knn: {}}]
  shots: 2
leaderboard: {compare_to: random}
"""


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def icl(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """icl("run", "e.yaml"): the command, wide enough that nothing is folded, however busy the machine."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("icl.cli.running.FIRST_SECONDS", 600.0)
    monkeypatch.delenv("ICL_DATA", raising=False)

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        code = end.value.code
        return Said(code if isinstance(code, int) else 0, out, err)

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with experiment.yaml, its task and its data."""
    for name, count in (("pool", 40), ("queries", 8)):
        rows = [
            {"text": f"{name} thing [bold]{i}[/bold]", "label": ("good", "bad")[i % 2]} for i in range(count)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "task.yaml").write_text(TASK, encoding="utf-8")
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path
