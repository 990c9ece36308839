"""Tuning within a run, on a tiny network: fitted once, kept, resumed, never mixed, its cost in the table."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

import icl
from icl.errors import ConfigError
from icl.experiments import contracts
from icl.experiments.running.progress import Meter
from icl.training import TrainingCost, Tuned
from icl.types import NO_USAGE
from tests.experiments.tiny_model import Norm

pytestmark = pytest.mark.usefixtures("norm")


@pytest.fixture
def file(write, model):
    def make(tuning=("none", {"norm": {"steps": 3}}), **changes):
        grid = {"selector": ["zero_shot", "random"], "tuning": list(tuning), **changes.pop("grid", {})}
        settings = {"model": str(model), "seeds": [0, 1], "test": 4, "pool": 12, "engine": "naive"} | changes
        return write(grid=grid, leaderboard={"compare_to": {"tuning": "none"}}, **settings)

    return make


class Heard:
    def __init__(self):
        self.notes, self.training = [], []

    def start(self, meter): ...
    def stop(self, meter): ...

    def note(self, text):
        self.notes.append(text)

    def changed(self, meter):
        if meter.training:
            self.training.append(meter.training)


def said(run):
    """Cell -> its predictions without what they cost in seconds."""
    return {r.cell: [replace(p, usage=NO_USAGE) for p in r.predictions] for r in run.results}


def tunings(run):
    return json.loads((run.path / "manifest.json").read_text())["tunings"]


def test_a_run_trains_once_a_pool_and_asks_both(file, tmp_path):
    heard = Heard()
    run = icl.run(file(engine="trie"), output=tmp_path / "runs", meter=Meter(heard))
    board = run.leaderboard()
    assert {(r.selector, r.tuning) for r in board.rows} == {
        ("majority_class", "none"), ("zero_shot", "none"), ("random", "none"),
        ("zero_shot", "norm(steps=3)"), ("random", "norm(steps=3)"),
    }  # fmt: skip
    paired = {r.selector: r.comparison for r in board.rows if r.tuning != "none"}
    assert {c.matched for c in paired.values()} == {8}
    assert not any(c.nearest for c in paired.values())
    held = tunings(run)
    assert len(held) == 2
    prints = {entry["fingerprint"] for entry in held.values()}
    (base,) = (entry["fingerprint"] for entry in run.folder.models().values())
    assert len(prints | {base}) == 3
    assert len([n for n in heard.notes if n.endswith(": training")]) == 2
    assert heard.training[0].startswith("tuning norm(steps=3), mine, seed 0: step 1/3, loss ")
    assert sorted(p.name for p in (run.path / "tunings").iterdir()) == sorted(held)
    answers = {(c.selector, c.seed, c.tuning): lines for c, lines in said(run).items()}
    assert all(answers["random", seed, "none"] != answers["random", seed, "norm(steps=3)"] for seed in (0, 1))

    again = Heard()
    icl.run(file(engine="trie"), output=tmp_path / "runs", meter=Meter(again))
    assert not [n for n in again.notes if "training" in n or "loading" in n]


def test_broken_off_in_training_and_gone_on_with(file, tmp_path):
    whole = icl.run(file(), output=tmp_path / "whole")
    Norm.stop_at = 2
    try:
        with pytest.raises(KeyboardInterrupt):
            icl.run(file(), output=tmp_path / "cut")
    finally:
        Norm.stop_at = -1
    parts = [p.name for p in (tmp_path / "cut" / "small" / "tunings").iterdir()]
    assert [p.endswith(".part") for p in parts] == [True]
    done = icl.run(file(), output=tmp_path / "cut")
    assert said(done) == said(whole)
    costs = [[entry["cost"]["tokens"] for entry in tunings(run).values()] for run in (whole, done)]
    assert costs[0] == costs[1]
    assert not list((done.path / "tunings").glob("*.part"))


def test_a_session_that_trained_and_one_that_reads_ask_the_same(file, tmp_path):
    both = icl.run(file(), output=tmp_path / "both")
    first = icl.run(file(grid={"selector": ["zero_shot"]}), output=tmp_path / "grown")
    heard = Heard()
    grown = icl.run(file(), output=tmp_path / "grown", meter=Meter(heard))
    assert not [n for n in heard.notes if "training" in n]
    assert said(grown) == said(both)
    assert first.path == grown.path


def test_damaged_and_foreign_tunings_are_said_and_computed_again(file, tmp_path, caplog):
    run = icl.run(file(grid={"selector": ["zero_shot"]}), output=tmp_path / "runs")
    before = said(run)
    folders = sorted((run.path / "tunings").iterdir())
    weights = folders[0] / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    shutil.rmtree(folders[1])
    shutil.copytree(folders[0], folders[1])
    heard = Heard()
    after = icl.run(file(), output=tmp_path / "runs", meter=Meter(heard))
    assert len([n for n in heard.notes if n.endswith(": training")]) == 2
    assert "its weights are not those that were written. This tuning alone is computed again." in caplog.text
    assert "is of another seed" in caplog.text
    assert {cell: said(after)[cell] for cell in before} == before


def test_cells_of_lost_weights_are_computed_again(file, tmp_path, caplog):
    run = icl.run(file(seeds=[0], grid={"selector": ["zero_shot"]}), output=tmp_path / "runs")
    shutil.rmtree(run.path / "tunings")
    try:
        plain = Norm.fit

        def otherwise(self, pool, resources):
            resources.network.model.norm.weight.data += 0.1
            return plain(self, pool, resources)

        Norm.fit = otherwise
        done = icl.run(file(seeds=[0]), output=tmp_path / "runs")
    finally:
        Norm.fit = plain
    assert caplog.text.count("was asked of other weights, and is computed again") == 1
    told = {r.notes["tuning"]["fingerprint"] for r in done.results if r.cell.tuning != "none"}
    assert len(told) == 1


def test_the_cache_never_answers_for_other_weights(file, tmp_path):
    one = icl.run(file(), output=tmp_path / "runs")
    other = icl.run(file(tuning=["none", {"norm": {"steps": 2}}], name="other"), output=tmp_path / "runs")
    sessions = other.folder.manifest()["sessions"]
    untuned = sum(r.usage.requests for r in other.results if r.cell.tuning == "none")
    assert sessions[0]["reused"]["requests"] == untuned > 0
    assert sessions[0]["computed"]["requests"] == untuned
    same = icl.run(file(name="same"), output=tmp_path / "runs")
    assert same.folder.manifest()["sessions"][0]["computed"]["requests"] == 0
    assert [r.predictions for r in same.results] == [r.predictions for r in one.results]


def test_a_model_that_is_given_cannot_be_tuned(file, tmp_path):
    with pytest.raises(ConfigError, match=r"grid.tuning.1: 'norm' trains a network fresh from its files"):
        icl.run(file(), output=tmp_path / "runs", model=icl.load_model("fake"))


def test_one_that_cannot_be_trained_does_not_keep_the_others_back(file, tmp_path):
    plain = Norm.fit

    def refuse(self, pool, resources):
        if self.steps == 7:
            raise ConfigError("steps are seven")
        return plain(self, pool, resources)

    Norm.fit = refuse
    try:
        with pytest.raises(ConfigError, match=r"tuning norm\(steps=7\), mine, seed 0: steps are seven"):
            icl.run(file(["none", {"norm": {"steps": 7}}, "norm"], seeds=[0]), output=tmp_path / "runs")
    finally:
        Norm.fit = plain
    done = {r.cell.tuning for r in icl.Run(tmp_path / "runs" / "small").results if r.complete}
    assert done == {"none", "norm"}
    untrained = icl.Run(tmp_path / "runs" / "small").folder.manifest()["untrained"]
    assert list(untrained) == ["norm(steps=7), mine, seed 0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": 3}, "network of a Tuned is a network, not 3"),
        ({"root": "prefix"}, "root of a Tuned is None, VirtualTokens or GivenKeysValues"),
        ({"state": {"a": 1}}, "state of a Tuned is a mapping name -> tensor"),
        ({"config": {}}, "config of a Tuned is a mapping with the tuner's name"),
        ({"cost": 3}, "cost of a Tuned is a TrainingCost, not 3"),
    ],
)  # fmt: skip
def test_what_a_tuner_returns_is_held_against_its_contract(changes, message):
    import torch

    network = torch.nn.Linear(2, 2).requires_grad_(False)
    right = {"network": network, "config": {"tuner": "norm"}, "cost": TrainingCost()}
    assert contracts.tuned("norm", Tuned(**right), "fit")
    with pytest.raises(ConfigError) as raised:
        contracts.tuned("norm", Tuned(**{**right, **changes}), "fit")
    assert message in str(raised.value)
    with pytest.raises(ConfigError, match="must return a Tuned, not None"):
        contracts.tuned("norm", None, "fit")
    with pytest.raises(ConfigError, match="still require a gradient: weight"):
        contracts.tuned("norm", Tuned(**{**right, "network": torch.nn.Linear(2, 2)}), "fit")
