"""Tunings that are kept for later: icl tune, {saved: FOLDER}, what a plan says of training."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import icl
from icl.errors import ConfigError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.experiments.plan import plan
from icl.protocols import tuners
from icl.types import NO_USAGE
from tests.experiments.tiny_model import Norm, write_model

LORA = {"lora": {"rank": 2, "steps": 2, "batch_size": 2, "learning_rate": [0.01, 0.1], "validation": 4}}

pytestmark = pytest.mark.usefixtures("norm")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return write_model(folder / "tiny"), write_model(folder / "other", seed=1)


@pytest.fixture
def file(write, models):
    def make(*tuning, **changes):
        settings = {"model": str(models[0]), "seeds": [0], "test": 4, "pool": 12, "engine": "naive"} | changes
        return write(grid={"selector": ["zero_shot"], "tuning": list(tuning)}, leaderboard=None, **settings)

    return make


def answers(run, tuning):
    found = [r for r in run.results if r.cell.tuning == tuning]
    assert found
    return [[replace(p, usage=NO_USAGE) for p in r.predictions] for r in found]


def test_what_icl_tune_keeps_is_what_a_run_trains(file, tmp_path, models):
    (adapter,) = icl.tune(file(LORA), output=tmp_path / "adapters")
    cost, notes = adapter.kept.cost, adapter.kept.notes
    assert (adapter.task, adapter.seed, cost.steps) == ("mine", 0, 4)
    assert cost.tokens > 0 < cost.tokens_validation
    assert adapter.learning_rate in (0.01, 0.1)
    assert adapter.loss == notes["losses"][-1]

    trained = icl.run(file(LORA), output=tmp_path / "runs")
    saved = icl.run(file({"saved": str(adapter.folder)}, name="saved"), output=tmp_path / "runs")
    label = f"saved(folder={adapter.folder})"
    assert answers(saved, label) == answers(trained, adapter.tuning)
    (row,) = [r for r in saved.leaderboard().rows if r.tuning == label]
    assert row.training.tokens == cost.tokens

    import peft
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(models[0])
    read = peft.PeftModel.from_pretrained(base, str(adapter.folder))
    theirs = peft.get_peft_model_state_dict(read)
    assert {name: tensor.tolist() for name, tensor in theirs.items()} == {
        name: tensor.tolist() for name, tensor in adapter.kept.state.items()
    }


def test_a_tuning_that_is_there_is_not_trained_again(file, tmp_path):
    (one,) = icl.tune(file("none", "norm"), output=tmp_path)
    about = (one.folder / "tuning.json").stat().st_mtime_ns
    (again,) = icl.tune(file("none", "norm"), output=tmp_path)
    assert (again.folder / "tuning.json").stat().st_mtime_ns == about
    assert json.loads((one.folder / "tuning.json").read_text())["of"]["tuning"] == "norm"
    with pytest.raises(ConfigError, match=r"grid.tuning: names nothing but none"):
        icl.tune(file("none"), output=tmp_path)


@pytest.mark.parametrize("given", ["model", "nothing", "empty"])
def test_a_saved_tuning_that_does_not_fit_is_refused_before_a_model_loads(file, tmp_path, models, given):
    (adapter,) = icl.tune(file("norm"), output=tmp_path / "adapters")
    (tmp_path / "empty").mkdir()
    folder = {"model": adapter.folder, "nothing": tmp_path / "gone", "empty": tmp_path / "empty"}[given]
    message = {
        "model": "was trained on another base",
        "nothing": "is no folder: icl tune makes them",
        "empty": "no tuned model was saved in this folder",
    }[given]
    with pytest.raises(ConfigError) as raised:
        check(*read_experiment(file("none", {"saved": str(folder)}, model=str(models[given == "model"]))))
    assert message in str(raised.value)
    assert "experiment.yaml:" in str(raised.value)
    assert "grid.tuning.1" in str(raised.value)
    check(*read_experiment(file("none", {"saved": str(adapter.folder)})))


def test_a_saved_folder_stands_beside_the_experiment_file(file, tmp_path):
    (adapter,) = icl.tune(file("norm"), output=tmp_path / "adapters")
    adapter.folder.rename(tmp_path / "mine")
    one = icl.run(file({"saved": "mine"}), output=tmp_path / "runs")
    before = one.folder.manifest()["tunings"]
    about = tmp_path / "mine" / "tuning.json"
    about.write_text(about.read_text().replace('"learning_rate": 0.5', '"learning_rate": 0.25'))
    icl.run(file({"saved": "mine"}, test=6), output=tmp_path / "runs")
    after = icl.Run(one.path).folder.manifest()["tunings"]
    assert before.keys() == after.keys()


def test_a_plan_says_apart_what_is_trained(file):
    checked = check(
        *read_experiment(file("none", {"norm": {"steps": 5, "batch_size": 2}}, LORA, seeds=[0, 1]))
    )
    found = plan(checked, None)
    assert list(found.training) == ["norm(batch_size=2, steps=5)", next(iter(reversed(found.training)))]
    first, second = found.training.values()
    assert (first.steps, first.tokens_validation) == (2 * 5, 0)
    example = checked.splits["mine", 0].pool[0]
    length = len(f"Text: {example.inputs['text']}\nLabel: {example.target}")
    assert first.tokens == pytest.approx(2 * 5 * 2 * length, rel=0.1)
    assert second.steps == 2 * 2 * 2
    assert second.tokens_validation == pytest.approx(2 * 2 * 4 * length, rel=0.1)
    untuned = plan(check(*read_experiment(file("none", seeds=[0, 1]))), None)
    assert found.total.tokens_unique == 3 * untuned.total.tokens_unique
    assert untuned.training == {}


def test_a_plan_does_not_need_to_know(file):
    class Own(Norm):
        def plan(self, pool, resources):
            assert resources.network is None
            return icl.training.TrainingCost(steps=len(pool))

    class Strange(Norm):
        steps = property(lambda self: "many", lambda self, value: None)

    for kind, wanted in ((Own, 12), (Strange, None)):
        tuners._entries["norm"] = replace(tuners.entry("norm"), factory=kind)
        (cost,) = plan(check(*read_experiment(file("norm"))), None).training.values()
        assert (cost and cost.steps) == wanted


@pytest.mark.parametrize("kind", ["lora", "prefix"])
def test_an_adapter_that_peft_saved_is_asked_in_a_run(file, tmp_path, models, kind):
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(models[0])
    config = {
        "lora": peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False),
        "prefix": peft.PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
    }[kind]
    torch.manual_seed(0)
    peft.get_peft_model(base, config).save_pretrained(str(tmp_path / "theirs"))
    run = icl.run(file("none", {"saved": "theirs"}, engine="trie"), output=tmp_path / "runs")
    plain, tuned = answers(run, "none")[0], answers(run, "saved(folder=theirs)")[0]
    assert [p.label_scores for p in plain] != [p.label_scores for p in tuned]
    assert all(p.label_scores for p in tuned)
    (row,) = [r for r in run.leaderboard().rows if r.tuning == "saved(folder=theirs)"]
    assert row.training.tokens == 0

    text = (tmp_path / "theirs" / "adapter_config.json").read_text()
    (tmp_path / "theirs" / "adapter_config.json").write_text(text.replace("CAUSAL_LM", "SEQ_CLS").replace(
        '"task_type": null', '"task_type": "SEQ_CLS"'))  # fmt: skip
    with pytest.raises(ConfigError, match=r"grid.tuning.1: .*task_type is 'SEQ_CLS'; allowed: CAUSAL_LM"):
        check(*read_experiment(file("none", {"saved": "theirs"})))
