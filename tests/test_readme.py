"""The README's Python runs, its tables of names are true, its YAML is what is shipped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from icl.experiments.file.config import read_experiment
from icl.tasks import load_task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STAND_INS = {'"smollm2-135m-instruct"': '"fake"', '"minilm"': '"hashed"'}
"""What the README says, and what takes its place here, so that no weights are loaded."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def quick(code: str) -> str:
    for said, instead in STAND_INS.items():
        code = code.replace(said, instead)
    return code


def test_every_stand_in_is_needed() -> None:
    python = "".join(blocks("python"))
    assert all(said in python for said in STAND_INS)


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.split("\n")[2][:30])
def test_python_runs(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(quick(code), "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.count("\n") >= 8
    if "run" in names:
        assert "bm25 4-shot as_selected direct Interval(" in printed
        assert printed.rstrip().endswith("Answer type:")
        assert (tmp_path / "runs" / "shots" / "manifest.json").is_file()
    else:
        assert printed.count("'abbreviation': -") == 10


def test_the_quickstart_is_the_one_that_is_shipped() -> None:
    shown = next(yaml.safe_load(block) for block in blocks("yaml") if "name: quickstart" in block)
    shipped, _ = read_experiment(ROOT / "experiments" / "quickstart.yaml")
    assert read_experiment(shown)[0] == shipped


def test_the_task_of_ones_own_loads(tmp_path: Path) -> None:
    text = next(block for block in blocks("yaml") if "name: tickets" in block)
    folder = ROOT / "experiments" / "own_task"
    for data in folder.glob("*.jsonl"):
        (tmp_path / data.name).write_bytes(data.read_bytes())
    (tmp_path / "tickets.yaml").write_text(text, encoding="utf-8")
    data = load_task(tmp_path / "tickets.yaml")
    assert data.test == load_task(folder / "tickets.yaml").test
    assert len(data.train) == 40


def test_every_command_is_in_the_table() -> None:
    from icl.cli.app import app

    registered = {c.name for c in (*app.registered_commands, *app.registered_groups)}
    table = README.split("## Commands")[1].split("##")[0]
    named = set(re.findall(r"`icl ([a-z]+)", table))
    assert named <= registered
    assert registered - named <= {"version"}, "say what the new command does"


def test_files_that_it_names_exist() -> None:
    for name in re.findall(r"\b((?:docs|experiments)/[\w./]+\.(?:md|yaml)|[A-Z]+\.(?:md|cff))\b", README):
        assert (ROOT / name).is_file(), name
