"""icl tune, and what plan, check and list say of tuning."""

from __future__ import annotations

import pytest
import yaml

from icl.protocols import tuners
from tests.experiments.tiny_model import Norm, write_model


@pytest.fixture
def tuned(folder, tmp_path_factory):
    """The experiment on a tiny model of its own, with something to train."""
    tuners.register("norm")(Norm)
    model = write_model(tmp_path_factory.mktemp("models") / "tiny")
    plain = yaml.safe_load((folder / "experiment.yaml").read_text())
    plain |= {"model": str(model), "engine": "naive", "seeds": [0], "pool": 8, "leaderboard": {}}
    plain["grid"] = {"selector": "zero_shot", "shots": 2, "tuning": ["none", {"norm": {"steps": 2}}]}
    (folder / "tuned.yaml").write_text(yaml.safe_dump(plain))
    yield folder
    del tuners._entries["norm"]


def test_tune_prints_a_line_an_adapter_and_goes_on(icl, tuned):
    said = icl("tune", "tuned.yaml", "-q")
    assert (said.code, said.err) == (0, "")
    header, line = (text.split("\t") for text in said.out.splitlines())
    found = dict(zip(header, line, strict=True))
    assert (found["task"], found["seed"], found["tuning"]) == ("mine", "0", "norm(steps=2)")
    assert (found["trained"], found["steps"], found["loss"], found["learning rate"]) == ("16", "2", "-", "-")
    assert (tuned / found["folder"] / "tuning.json").is_file()
    assert icl("tune", "tuned.yaml", "-q").out == said.out
    other = icl("tune", "tuned.yaml", "--set", "grid.tuning.1.norm.steps=1", "--set", "name=one")
    assert "norm(steps=1), mine, seed 0: training" in other.err
    assert "predictions" not in other.err


def test_tune_of_nothing_is_one_line(icl, tuned):
    said = icl("tune", "tuned.yaml", "--set", "grid.tuning=none")
    assert said.code == 2
    assert "names nothing but none: nothing is to be trained" in said.err
    assert said.err.count("\n") == 1


def test_plan_check_and_list_know_of_it(icl, tuned):
    said = icl("plan", "tuned.yaml")
    assert said.code == 0
    assert "Training is not in these figures. Over all tasks and seeds: norm(steps=2): 2 steps, " in said.out
    assert icl("check", "tuned.yaml").code == 0
    wrong = icl("check", "tuned.yaml", "--set", "grid.tuning=[none, nrm]", "--set", "pool=1")
    assert wrong.code == 1
    assert "unknown tuning 'nrm'. Did you mean 'norm'?" in wrong.err
    listed = icl("list", "tuners").out
    assert "\nlora\t" in listed
    assert "\nsaved\tfolder" in listed


def test_the_list_of_all_names_tuners_without_opening_them(icl):
    """What is shown there comes from the files' names and first lines."""
    assert [name for name, _ in tuners.files()] == [name for name in tuners if ":" not in name]
    listed = icl("list").out
    assert "\nlora\tsee icl list tuners\tLoRA: low-rank updates beside frozen weights.\t" in listed
