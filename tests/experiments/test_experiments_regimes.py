"""Regimes of tuning within a run, on a tiny network: looked at before a model loads, trained, asked."""

from __future__ import annotations

import json

import pytest

import icl
from icl.errors import ConfigError
from icl.experiments.running.progress import Meter
from icl.tasks import load_task
from tests.experiments.test_experiments_tuning import Heard

METAICL = {"tasks": ["reviews"], "k": 2, "with": {"lora": {"steps": 2, "batch_size": 2}}}


@pytest.fixture
def file(write, model):
    def make(tuning, **changes):
        grid = {"selector": ["zero_shot", "random"], "tuning": ["none", tuning]}
        settings = {"model": str(model), "seeds": [0], "test": 3, "pool": 12, "engine": "naive"} | changes
        return write(grid=grid, leaderboard={"compare_to": {"tuning": "none"}}, **settings)

    return make


def held(run):
    return json.loads((run.path / "manifest.json").read_text())["tunings"].values()


def test_what_is_the_same_for_all_tasks_is_trained_once(file, tmp_path):
    heard = Heard()
    path = file({"metaicl": METAICL}, task=["task.yaml", "questions"])
    run = icl.run(path, output=tmp_path / "runs", meter=Meter(heard))
    assert len([note for note in heard.notes if note.endswith(": training")]) == 1
    assert [note for note in heard.notes if note.endswith(": as for mine")]
    first, second = held(run)
    assert first["cost"] == second["cost"]
    assert second["notes"]["trained_for"] == "mine"
    assert first["notes"]["rows"].keys() == {"reviews"}
    assert len({(r.task, r.selector) for r in run.leaderboard().rows if r.tuning != "none"}) == 4


def test_a_regime_that_samples_is_run_with_what_stands_before_every_text(file, tmp_path):
    inner = {"prompt_tuning": {"length": 2, "steps": 2, "batch_size": 2}}
    ddo = {"rounds": 2, "max_tokens_sampled": 2, "with": inner}
    run = icl.run(file({"ddo": ddo}), output=tmp_path / "runs", meter=Meter(Heard()))
    (tuned,) = held(run)
    assert len(tuned["notes"]["rounds"]) == 2
    assert tuned["cost"]["tokens_validation"] > 0


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        ({"metaicl": {**METAICL, "tasks": ["reviws"]}}, "reviews"),
        ({"metaicl": {**METAICL, "tasks": ["reviews", "mine"]}}, "the task that is asked"),
        ({"metaicl": {**METAICL, "k": 10_000}}, "training rows; an episode takes 10001"),
        ({"metaicl": {**METAICL, "with": {"lora": {"rnak": 1}}}}, "Did you mean 'rank'"),
        ({"sft": {"file": "rows.jsonl"}}, "rows.jsonl:2: is no instruction row"),
        ({"sft": {"file": "none.jsonl"}}, "none.jsonl does not exist"),
        ({"rpt": {"file": "rows.jsonl"}}, "rows.jsonl:2: has no text"),
        ({"star": {"method": "few_shot_"}}, "few_shot"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_loads(file, tuning, said):
    path = file(tuning, task="task.yaml")
    (path.parent / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"q": "a"}\n')
    with pytest.raises(ConfigError) as caught:
        icl.run(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


def test_a_corpus_of_a_recipe_is_trained_on_once_for_all_tasks(file, tmp_path):
    recipe = {
        "name": "made",
        "parts": [{"format": {"task": "reviews", "rows": 20, "few_shot": 0}}],
        "exclude_test_of": ["questions"],
    }
    corpus = icl.build_corpus(recipe, output=tmp_path / "corpora")
    sft = {
        "file": str(corpus.rows),
        "mix": {},
        "with": {"lora": {"steps": 2, "batch_size": 2, "max_tokens": 900}},
    }
    heard = Heard()
    path = file({"sft": sft}, task=["task.yaml", "questions"])
    run = icl.run(path, output=tmp_path / "runs", meter=Meter(heard))
    assert len([note for note in heard.notes if note.endswith(": training")]) == 1
    first, second = held(run)
    assert first["notes"]["mixture"]["rows.jsonl"]["rate"] == 1.0
    assert first["cost"] == second["cost"]
    assert second["notes"]["trained_for"] == "mine"


def test_a_corpus_that_holds_test_items_is_refused_before_a_model_loads(file, tmp_path):
    leak = load_task("questions").test[0].text
    corpus = tmp_path / "rows.jsonl"
    corpus.write_text(json.dumps({"instruction": f"Answer: {leak}", "output": "x"}) + "\n")
    with pytest.raises(
        ConfigError, match=r"1 rows overlap the test set of questions \(1 exact\), the first is .*:1"
    ):
        icl.run(file({"sft": {"file": str(corpus)}}, task="questions"), output=tmp_path / "runs")
