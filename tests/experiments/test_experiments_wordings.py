"""Tasks in another wording, `NAME@WORDING`: run, read again and compared, from files and from a folder."""

from __future__ import annotations

import shutil

import pytest
import yaml

import icl
from icl.errors import ConfigError
from icl.experiments.file.around import read_any
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.tasks import load_task
from icl.tasks.sources import parted


@pytest.fixture
def worded(write, tmp_path):
    """worded("task.yaml@short"): an experiment on a task that has the wording `short`."""

    def make(task, **changes):
        path = write(task=task, **changes)
        file = tmp_path / "task.yaml"
        plain = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(plain | {"wordings": {"short": {"query": "T: {{ text }}\nL:"}}}))
        return path

    return make


def test_two_wordings_are_run_shown_and_kept_apart(worded, tmp_path):
    run = icl.run(worded(["task.yaml", "task.yaml@short"]), output=tmp_path / "runs")
    moved = icl.Run(shutil.move(run.path, tmp_path / "moved"))
    assert {cell.cell.task for cell in moved.results} == {"mine", "mine@short"}
    assert {row.task for row in moved.leaderboard().rows} == {"mine", "mine@short"}
    last = moved.results[-1]
    assert last.cell.task == "mine@short"
    assert "L:" in moved.show(last.predictions[0].query_id, last.cell.id).prompt.text
    assert "Label:" not in moved.show(last.predictions[0].query_id, last.cell.id).prompt.text


def test_a_file_with_an_at_in_its_name_goes_on_where_it_was(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = "".join(f'{{"text": "text {i}", "label": "{"ab"[i % 2]}"}}\n' for i in range(40))
    (folder / "train.jsonl").write_text(rows)
    (folder / "test.jsonl").write_text(rows.replace("text ", "other "))
    task = {
        "name": "letters",
        "kind": "classification",
        "inputs": ["text"],
        "labels": ["a", "b"],
        "template": {"query": "{{ text }} is"},
        "wordings": {"short": {"query": "{{ text }}:"}},
        "source": {"files": {"train": "train.jsonl", "test": "test.jsonl"}},
    }
    (folder / "a@b.yaml").write_text(yaml.safe_dump(task))
    grid = {"selector": "random", "shots": 1}
    plain = {
        "name": "w",
        "model": "fake",
        "pool": 10,
        "test": 3,
        "task": f"{folder}/a@b.yaml@short",
        "grid": grid,
    }
    first, second = (icl.run(plain, output=tmp_path / "runs") for _ in range(2))
    assert [r.metrics for r in first.results] == [r.metrics for r in second.results]
    assert (second.path / "tasks" / "letters@short.jsonl").is_file()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("aqua", ("aqua", None)),
        ("aqua@wei", ("aqua", "wei")),
        ("aqua@", ("aqua", "")),
        ("a@b/t.yaml", ("a@b/t.yaml", None)),
        ("a@b/t.yaml@w", ("a@b/t.yaml", "w")),
        ("a@b.yml", ("a@b.yml", None)),
        ("a@b.yml@w", ("a@b.yml", "w")),
    ],
)
def test_which_at_begins_a_wording(name, expected):
    assert parted(name) == expected


@pytest.mark.parametrize("wording", ["../x", "a b", "a\x1b[1m", "", "x@y"])
def test_a_wording_has_a_name_for_files(worded, tmp_path, wording):
    worded("task.yaml")
    file = tmp_path / "task.yaml"
    plain = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(plain | {"wordings": {wording: {"query": "{{ text }}"}}}))
    with pytest.raises(ConfigError, match="must begin with a letter or digit"):
        load_task(file)


def test_a_wording_is_checked_and_previewed_alone(worded, tmp_path):
    worded("task.yaml")
    experiment, source, is_task = read_any(f"{tmp_path}/task.yaml@short")
    assert is_task
    assert list(check(experiment.model_copy(update={"model": "fake"}), source).tasks) == ["mine@short"]


def test_a_wording_that_is_none_is_refused_with_the_line(worded):
    path = worded("task.yaml@shrt")
    with pytest.raises(ConfigError, match=r"no wording 'shrt'\. Did you mean 'short'") as error:
        check(*read_experiment(path))
    assert "task.0: " in str(error.value)
