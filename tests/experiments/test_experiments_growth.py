"""A run folder goes on: with more rows, seeds, tasks and test items, with fewer, and after an upgrade."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.experiments.file.config import read_experiment
from icl.experiments.folder.store import FORMAT
from icl.tasks import load_task
from icl.tasks.splits import draw_split
from icl.types import Example

OLD = Path(__file__).with_name("old_run")


def lines_of(run) -> dict[str, list[str]]:
    files = (run.path / "cells").glob("*.jsonl")
    return {file.name: file.read_text(encoding="utf-8").splitlines() for file in files}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"grid": {"selector": ["random"]}}, {"grid": {"selector": ["random", "bm25", {"knn": {}}]}}),
        ({"grid": {"shots": [2]}}, {"grid": {"shots": [1, 2, 3]}}),
        ({"seeds": [1]}, {"seeds": [0, 1, 2]}),
        ({"test": 4}, {"test": 10}),
        ({"test": 4}, {"test": "all"}),
        ({}, {"grid": {"method": ["direct", "channel", "pmi"], "orderer": ["as_selected", "random"]}}),
        (
            {"test": 4, "seeds": [0], "grid": {"method": ["batch"]}},
            {"test": 10, "seeds": [1, 0], "grid": {"method": ["direct", "batch"]}},
        ),
        ({"grid": {"selector": ["random"]}, "encoder": "minilm"}, {"encoder": "hashed"}),
    ],
)
def test_a_grown_grid_goes_on_and_is_what_it_would_be_anew(write, tmp_path, before, after):
    """What both have is not asked again, and the lines are those of one run at once."""
    first, model, alone = FakeModel(), FakeModel(), FakeModel()
    icl.run(write(**before), output=tmp_path / "grown", model=first)
    grown = icl.run(write(**after), output=tmp_path / "grown", model=model)
    anew = icl.run(write(**after), output=tmp_path / "anew", model=alone)
    assert [(r.cell, r.complete) for r in grown.results] == [(r.cell, True) for r in anew.results]
    assert [r.predictions for r in grown.results] == [r.predictions for r in anew.results]
    assert [r.selection_usage for r in grown.results] == [r.selection_usage for r in anew.results]
    asked = {hash(r) for r in first.requests} & {hash(r) for r in model.requests}
    assert not asked
    assert len(model.requests) < len(alone.requests)


def test_a_second_task_joins(write, tmp_path):
    run = icl.run(write(), output=tmp_path / "out")
    before = lines_of(run)
    other = yaml.safe_load((tmp_path / "task.yaml").read_text()) | {"name": "other"}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    run = icl.run(write(task=["other.yaml", "task.yaml"]), output=tmp_path / "out")
    assert {r.cell.task for r in run.results} == {"mine", "other"}
    assert before.items() <= lines_of(run).items()
    # and goes again, which forgets nothing of what it was made from
    run = icl.run(write(), output=tmp_path / "out")
    assert {r.cell.task for r in run.results} == {"mine"}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other | {"instruction": "Judge."}))
    with pytest.raises(ConfigError, match=r"task 'other' \(instruction: \"\" -> \"Judge.\"\)"):
        icl.run(write(task=["other.yaml", "task.yaml"]), output=tmp_path / "out")


def test_a_smaller_grid_leaves_the_other_cells_where_they_are(write, tmp_path):
    whole = icl.run(write(), output=tmp_path / "out")
    before = lines_of(whole)
    model = FakeModel()
    fewer = icl.run(write(seeds=[1], grid={"selector": ["random"]}), output=tmp_path / "out", model=model)
    assert [(r.cell.selector, r.cell.seed) for r in fewer.results] == [
        (name, 1) for name in ("majority_class", "zero_shot", "random")
    ]
    assert model.requests == []
    assert lines_of(fewer) == before
    assert fewer.folder.outside == len(before) - 3
    again = icl.run(write(), output=tmp_path / "out", model=model)
    assert again.results == whole.results
    assert model.requests == []


def test_more_test_items_make_the_old_cells_incomplete_until_they_are_asked(write, tmp_path):
    class Tired(FakeModel):
        def _note(self, request):
            raise KeyboardInterrupt

    icl.run(write(test=4), output=tmp_path / "out")
    with pytest.raises(
        KeyboardInterrupt, match=r"24 of 60 predictions are kept in .*; the same command goes on"
    ):
        icl.run(write(), output=tmp_path / "out", model=Tired())
    broken = icl.Run(tmp_path / "out" / "small")
    assert {(r.complete, len(r.predictions)) for r in broken.results if r.cell.method == "direct"} == {
        (False, 4)
    }
    assert "INCOMPLETE" in broken.leaderboard(metric="accuracy").to_markdown()
    sessions = broken.folder.manifest()["sessions"]
    assert [s["ended_by"] for s in sessions] == ["complete", "Ctrl-C"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pool": 15}, "pool: 20 -> 15"),
        ({"pool": "all"}, 'pool: 20 -> "all"'),
        ({"test": 9}, "test: 10 -> 9 (it may grow"),
        ({"duplicate_threshold": 0.5}, "duplicate_threshold: 1.0 -> 0.5"),
        ({"prompt": {"overflow": "fail"}}, 'prompt.overflow: "drop" -> "fail"'),
        ({"encoder": "minilm"}, 'encoder: "hashed" -> "minilm"'),
        ({"engine": "naive"}, 'engine: "trie" -> "naive"'),
    ],
)
def test_what_would_mix_results_is_refused_even_beside_growth(write, tmp_path, change, said):
    icl.run(write(), output=tmp_path / "out")
    with pytest.raises(ConfigError) as error:
        icl.run(write(**change, seeds=[0, 1, 2]), output=tmp_path / "out")
    assert f"changed: {said}" in str(error.value)
    assert "seeds" not in str(error.value)


def test_a_changed_template_is_named(write, tmp_path):
    icl.run(write(), output=tmp_path / "out")
    task = yaml.safe_load((tmp_path / "task.yaml").read_text())
    task["template"]["query"] = "{{ text }} ="
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    with pytest.raises(ConfigError, match=r"task 'mine' \(template.query: .* -> \"\{\{ text \}\} =\"\)"):
        icl.run(write(), output=tmp_path / "out")


def test_a_pool_that_the_test_leaves_does_not_grow_with_it(write, tmp_path):
    write()
    task = yaml.safe_load((tmp_path / "task.yaml").read_text())
    task["source"]["files"] = {"test": "pool.jsonl"}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    icl.run(write(), output=tmp_path / "out")
    with pytest.raises(ConfigError, match="task 'mine' has no train split: its pool is what the test leaves"):
        icl.run(write(test=12), output=tmp_path / "out")
    icl.run(write(seeds=[0, 1, 2]), output=tmp_path / "out")


def rows(prefix, count):
    return [Example(f"{prefix}{i}", {"text": f"{prefix} number {i}"}, "x") for i in range(count)]


@pytest.mark.parametrize("seed", [0, 3])
def test_draws_are_nested(seed):
    """The old test items come first and are the same; the pool of a seed does not know how many are asked."""

    def draw(pool, test):
        return draw_split(
            "t", rows("train", 50), rows("test", 30), pool_size=pool, test_size=test, seed=seed, threshold=1.0
        )

    sizes = (1, 7, 29, 30, None)
    drawn = [draw(20, size) for size in sizes]
    for smaller, larger in pairwise(drawn):
        assert larger.test[: len(smaller.test)] == smaller.test
        assert larger.pool == smaller.pool
    assert draw(40, 7).pool[:20] == drawn[0].pool


@pytest.fixture
def old(tmp_path):
    """A folder of the first format beside its files, as an upgrade finds it."""
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def test_a_folder_of_an_older_version_is_read(old):
    run = icl.Run(old / "kept" / "old_run")
    assert run.folder.manifest().get("format") is None
    assert all(r.complete and len(r.predictions) == 4 and not r.damage for r in run.results)
    assert {row.selector for row in run.leaderboard(metric="accuracy").rows} >= {"random", "knn"}


def test_a_folder_of_an_older_version_goes_on_and_then_stands_alone(old, tmp_path, monkeypatch):
    before = lines_of(icl.Run(old / "kept" / "old_run"))
    plain = yaml.safe_load((old / "kept" / "old_run" / "experiment.yaml").read_text())
    for key in ("engine", "duplicate_threshold", "prompt"):
        del plain[key]  # as if these keys had come later
    (old / "kept" / "old_run" / "experiment.yaml").write_text(yaml.safe_dump(plain))
    model = FakeModel()
    run = icl.run(old / "experiment.yaml", output=old / "kept", model=model)
    assert model.requests == []
    assert lines_of(run) == before
    assert run.folder.manifest()["format"] == FORMAT
    moved = shutil.move(run.path, tmp_path / "elsewhere")
    shutil.rmtree(old)
    alone = icl.Run(moved)
    for result in alone.results:
        if result.cell.shots:
            for prediction in result.predictions:
                found = alone.show(prediction.query_id, result.cell.id)
                assert len(found.examples) == len(prediction.demonstrations) == 2
                assert not found.notes


def test_a_grown_folder_of_an_older_version(old):
    plain = yaml.safe_load((old / "experiment.yaml").read_text()) | {"test": 6}
    plain["grid"]["selector"] = ["random", "knn", "bm25"]
    (old / "experiment.yaml").write_text(yaml.safe_dump(plain))
    run = icl.run(old / "experiment.yaml", output=old / "kept")
    assert {(r.complete, len(r.predictions)) for r in run.results} == {(True, 6)}
    anew = icl.run(old / "experiment.yaml", output=old / "anew")
    assert [r.predictions for r in run.results] == [r.predictions for r in anew.results]


def test_a_key_of_a_task_that_came_later_changes_no_fingerprint(old):
    """The fingerprint that the older version wrote is found again."""
    manifest = json.loads((old / "kept" / "old_run" / "manifest.json").read_text())
    data = load_task(old / "task.yaml")
    assert data.fingerprint == manifest["data"]["mine"]
    experiment, _ = read_experiment(old / "experiment.yaml")
    assert experiment.resolved["name"] == "old_run"
