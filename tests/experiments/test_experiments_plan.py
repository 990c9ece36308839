"""A plan asks what the run asks, without the training that asks nothing."""

from __future__ import annotations

import pytest

import icl
from icl.encoders import load_encoder
from icl.experiments.file.config import read_experiment
from icl.experiments.grid.check import check
from icl.experiments.plan import Writing, plan
from icl.selectors import ceil, rl
from icl.selectors.shared import biencoder

TRAINED = {
    "epr": {"items": 6, "candidates": 4, "epochs": 2},
    "ceil": {"items": 6, "sets": 3, "set_size": 2, "epochs": 2},
    "rl": {"candidates": 4, "episodes": 4, "reward_set": 4, "validation": 4, "steps": 20, "shots": 2},
}


def rehearsed(path):
    checked = check(*read_experiment(path))
    notes: list[str] = []
    return plan(checked, load_encoder(checked.experiment.encoder), note=notes.append), notes


@pytest.mark.parametrize("name", TRAINED)
def test_trained_selectors_ask_as_much_as_in_the_run(write, tmp_path, name):
    path = write(grid={"selector": [{name: TRAINED[name]}]}, leaderboard={}, seeds=[0])
    found, notes = rehearsed(path)
    run = icl.run(path, output=tmp_path / "runs")
    computed = run.folder.manifest()["sessions"][0]["computed"]
    # the last questions of rl depend on what was learned
    assert found.total.requests == pytest.approx(computed["requests"], rel=0.1)
    assert notes == ["mine, seed 0: rehearsing"]


def test_a_plan_trains_nothing(write, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained")

    steps = []
    monkeypatch.setattr(biencoder, "train_towers", refuse)
    monkeypatch.setattr("icl.selectors.epr.train_towers", refuse)
    real_rl, real_ceil = rl.learn, ceil.train_projection
    monkeypatch.setattr(
        rl, "learn", lambda t, a, s, *more: steps.append(s.steps * s.updates) or real_rl(t, a, s, *more)
    )
    monkeypatch.setattr(ceil, "train_projection", lambda x, s: steps.append(s.epochs) or real_ceil(x, s))
    rehearsed(write(grid={"selector": [{n: p} for n, p in TRAINED.items()]}, leaderboard={}, seeds=[0]))
    assert sorted(steps) == [0, 10]


def test_the_largest_call_is_kept_for_the_memory(write):
    path = write(
        grid={"selector": ["zero_shot"], "shots": [0], "method": ["direct", {"generate": {"max_tokens": 9}}]},
        leaderboard={},
    )
    found, _ = rehearsed(path)
    assert found.largest.read > 9
    assert found.largest.texts == 10  # one a query of the test set
    assert found.largest.kept == 0


def test_the_texts_written_at_once_are_counted_by_steps():
    writing = Writing()
    assert writing.side_by_side(slots=4, share=0.5) == 0
    writing.add([(10, 100)] * 8)  # 40 tokens in the 10 steps of the longest
    assert writing.side_by_side(slots=4, share=0.5) == 4
    writing.add([(10, 400)])  # 5 more in 10 more steps
    assert writing.side_by_side(slots=4, share=0.5) == 2  # 45 in 20
    assert writing.side_by_side(slots=4, share=1.0) == 3  # 90 in 30: the eight take turns on four slots
    assert writing.context == (8 * 100 + 400) // 9
