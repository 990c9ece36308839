"""A tuning that fails, whatever fails in it, is one line and keeps no other back; leaks by another name."""

from __future__ import annotations

import json

import pytest
import yaml

import icl
from icl.engine.requests.finite import NotFinite
from icl.errors import ConfigError, ContextOverflow, ModelError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.tuning.lora import Lora
from tests.experiments.tiny_model import Norm

pytestmark = pytest.mark.usefixtures("norm")


@pytest.fixture
def file(write, model):
    def make(tuning, **changes):
        grid = {"selector": ["zero_shot"], "tuning": ["none", *tuning]}
        settings = {"model": str(model), "seeds": [0], "test": 3, "pool": 12, "engine": "naive"} | changes
        return write(grid=grid, leaderboard={"compare_to": {"tuning": "none"}}, **settings)

    return make


FAULTS = {
    "sampling": (NotFinite("score request 0", "not finite"), ModelError, "score request 0: not finite"),
    "overflow": (ContextOverflow("too long"), ContextOverflow, "too long"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_in_training_is_said_and_the_next_is_trained(file, tmp_path, monkeypatch, fault):
    error, kind, said = FAULTS[fault]
    plain = Norm.fit

    def fit(self, pool, resources):
        if self.steps == 7:
            raise error
        return plain(self, pool, resources)

    monkeypatch.setattr(Norm, "fit", fit)
    with pytest.raises(kind, match=r"tuning norm\(steps=7\), mine, seed 0: ") as raised:
        icl.run(file([{"norm": {"steps": 7}}, "norm"]), output=tmp_path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert {r.cell.tuning for r in icl.Run(tmp_path / "small").results if r.complete} == {"none", "norm"}


def test_a_method_that_memory_does_not_hold_is_said_so(file, tmp_path, monkeypatch):
    def attach(self, network, resources):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nto")

    monkeypatch.setattr(Lora, "attach", attach)
    with pytest.raises(
        ModelError, match=r"tuning lora, mine, seed 0: not enough memory .*Allocator"
    ) as raised:
        icl.run(file(["lora", "norm"]), output=tmp_path)
    assert "\n" not in str(raised.value)
    assert {r.cell.tuning for r in icl.Run(tmp_path / "small").results if r.complete} == {"none", "norm"}


def test_a_tuned_model_that_cannot_be_asked_keeps_no_other_back(file, tmp_path, monkeypatch):
    plain = Norm.restore

    def restore(self, state, network):
        made = plain(self, state, network)
        if self.steps == 2:
            made.network.model.norm.weight.data.fill_(float("nan"))
        return made

    monkeypatch.setattr(Norm, "restore", restore)
    with pytest.raises(ModelError, match=r"tuning norm\(steps=2\), mine, seed 0: .*not finite"):
        icl.run(file([{"norm": {"steps": 2}}, "norm"]), output=tmp_path)
    run = icl.Run(tmp_path / "small")
    assert {r.cell.tuning for r in run.results if r.complete} == {"none", "norm"}
    assert list(run.folder.manifest()["untrained"]) == ["norm(steps=2), mine, seed 0"]


@pytest.mark.parametrize(
    "tuning",
    [
        {"dylora": {"rank": 2}},
        {"lora": {"evaluate_every": 2, "validation": 12}},
        {"ddo": {"with": {"lora": {"learning_rate": [1e-4, 1e-3]}}}},
    ],
)
def test_a_pool_that_validation_uses_up_is_refused_before_a_model_loads(file, tuning):
    path = file([tuning])
    with pytest.raises(ConfigError) as raised:
        icl.run(path)
    assert str(raised.value).startswith(f"{path}:")
    assert "examples from training (validation), and the pool of task 'mine' has 12" in str(raised.value)


def another_task(folder, labels=("yes", "no"), *, rows=40, keep=lambda i: True):
    """other.yaml: the rows of task.yaml under other names of task, input and labels, in another wording."""
    given = [json.loads(line) for line in (folder / "pool.jsonl").read_text().splitlines()][:rows]
    made = [
        {"words": row["text"].upper() + "!", "kind": labels[row["label"] == "bad"]} if keep(i)
        else {"words": f"of its own {i}", "kind": labels[i % 2]}
        for i, row in enumerate(given)
    ]  # fmt: skip
    (folder / "other.jsonl").write_text("\n".join(map(json.dumps, made)))
    task = {
        "name": "other", "kind": "classification", "inputs": ["words"], "labels": list(labels),
        "template": {"query": "{{ words }} ?"},
        "source": {"files": {"train": "other.jsonl", "test": "other.jsonl"},
                   "fields": {"inputs": {"words": "words"}, "target": "kind"}},
    }  # fmt: skip
    (folder / "other.yaml").write_text(yaml.safe_dump(task))


REGIME = {
    "metaicl": {"tasks": ["other.yaml"], "k": 2, "with": {"lora": {"rank": 2, "steps": 1, "batch_size": 2}}}
}


def test_the_asked_task_under_another_name_is_not_trained_on(file):
    path = file([REGIME])
    another_task(path.parent)
    with pytest.raises(
        ConfigError, match=r"40 of 40 rows of task 'other\.yaml' are rows of 'mine', the task"
    ):
        icl.run(path)


def test_another_question_about_the_same_rows_is_another_task(file, tmp_path):
    path = file([REGIME])
    another_task(path.parent)
    lines = (path.parent / "other.jsonl").read_text().splitlines()
    turned = [json.loads(line) | {"kind": ("yes", "no")[i % 2]} for i, line in enumerate(lines)]
    (path.parent / "other.jsonl").write_text("\n".join(map(json.dumps, turned)))
    assert icl.run(path, output=tmp_path / "runs").results


def test_rows_that_a_test_set_holds_are_left_out_and_counted(file, tmp_path):
    path = file([REGIME])
    another_task(path.parent, keep=lambda i: i < 3)
    rows = (path.parent / "queries.jsonl").read_text().splitlines()
    more = [{"words": json.loads(line)["text"], "kind": "yes"} for line in rows[:5]]
    with (path.parent / "other.jsonl").open("a") as out:
        out.write("\n" + "\n".join(map(json.dumps, more)))
    run = icl.run(path, output=tmp_path / "runs")
    (held,) = json.loads((run.path / "manifest.json").read_text())["tunings"].values()
    assert held["notes"]["rows_of_test_sets_left_out"] == "5 of other.yaml"
    assert held["notes"]["rows"] == {"other": 40}
    assert "rows of test sets left out 5 of other.yaml" in run.leaderboard().to_markdown()


def _flip(folder):
    weights = bytearray((folder / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "adapter_model.safetensors").write_bytes(bytes(weights))


def _about(**changes):
    def change(folder):
        said = json.loads((folder / "tuning.json").read_text()) | changes
        (folder / "tuning.json").write_text(json.dumps(said))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_flip, "its weights are not those that were written"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "adapter_model.safetensors: cannot be read"),
        (_about(cost=3), "cost is 3; allowed: names with numbers"),
        (_about(cost={"tokens": "many"}), "cost is {'tokens': 'many'}"),
    ],
)
def test_a_saved_folder_that_was_damaged_is_refused_before_a_model_loads(file, tmp_path, damage, said):
    (made,) = icl.tune(file(["norm"]), output=tmp_path / "adapters")
    damage(made.folder)
    path = file([{"saved": str(made.folder)}])
    with pytest.raises(ConfigError) as raised:
        icl.run(path)
    assert str(raised.value).startswith(f"{path}:")
    assert said in str(raised.value)


def test_rows_of_another_task_that_only_have_the_same_ids_are_its_own(file):
    path = file([REGIME])
    another_task(path.parent)
    lines = (path.parent / "other.jsonl").read_text().splitlines()
    own = [json.loads(line) | {"words": f"a text of its own, {i}"} for i, line in enumerate(lines)]
    (path.parent / "other.jsonl").write_text("\n".join(map(json.dumps, own)))
    assert check(*read_experiment(path)).cells
