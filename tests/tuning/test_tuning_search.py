"""Several runs of one tuning: the search over learning rates, what is refused, checkpoints."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.errors import ConfigError, ModelError
from icl.protocols import tuners
from icl.training import TrainingStep, Tuned
from icl.tuning.full import Full
from icl.tuning.lora import Lora
from icl.tuning.shared.checkpoint import Checkpoint
from icl.tuning.shared.validation import Validation
from tests.tuning.planted import TOKENIZER, Killed, fresh, planted, resources


def fit(**given: Any) -> Tuned:
    where = {name: given.pop(name) for name in ("folder", "report", "seed", "network") if name in given}
    return tuners.create("lora", {"steps": 6, "batch_size": 4, "learning_rate": 1e-2, **given}).fit(
        planted(40), resources(**where)
    )


def test_the_better_rate_is_kept_and_all_runs_are_counted() -> None:
    runs: list[str] = []
    tuned = fit(learning_rate=[1e-6, 1e-2], validation=8, steps=12, report=lambda s: runs.append(s.run))
    assert tuned.notes["learning_rate"] == 1e-2
    assert tuned.notes["tried"]["0.01"] > tuned.notes["tried"]["1e-06"]
    assert list(dict.fromkeys(runs)) == ["learning_rate=1e-06", "learning_rate=0.01"]
    assert tuned.notes["rows"] == 32
    alone = fit(steps=12)
    assert tuned.cost.steps == 24
    assert tuned.cost.tokens == 2 * alone.cost.tokens
    assert tuned.cost.tokens_validation == 2 * 8 * 2 * len(TOKENIZER.encode("abc:A"))
    assert tuned.cost.trainable == alone.cost.trainable


def test_the_validation_split_is_looked_at_as_often_as_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    whole = Validation.__call__

    def counted(self: Validation, *given: Any) -> tuple[float, int]:
        found = whole(self, *given)
        looked.append(found[1])
        return found

    monkeypatch.setattr(Validation, "__call__", counted)
    tuned = fit(learning_rate=[1e-3, 1e-2], validation=8, evaluate_every=3)
    assert len(looked) == 2 * 2
    assert tuned.cost.tokens_validation == sum(looked)


def test_tokens_before_each_text_are_in_the_cost_and_given_keys_are_not() -> None:
    given = {"steps": 3, "batch_size": 4, "learning_rate": [1e-3, 1e-4], "validation": 8}
    plain, virtual, keys = (
        tuners.create(name, {**given, **more}).fit(planted(40), resources()).cost
        for name, more in (
            ("lora", {}),
            ("prompt_tuning", {"length": 5, "init": "vocabulary"}),
            ("p_tuning_v2", {"length": 5, "init": "random"}),
        )
    )
    assert virtual.tokens == plain.tokens + 2 * 3 * 4 * 5
    assert virtual.tokens_forwarded == plain.tokens_forwarded + 2 * 3 * 5
    assert virtual.tokens_validation == plain.tokens_validation + 2 * 8 * 2 * 5
    assert (keys.tokens, keys.tokens_validation) == (plain.tokens, plain.tokens_validation)


def test_the_chosen_rate_is_trained_once_more_on_everything() -> None:
    tuned = fit(learning_rate=[1e-6, 1e-2], validation=8, refit=True)
    plain = fit(learning_rate=1e-2)
    assert tuned.notes["learning_rate"] == 1e-2
    assert tuned.cost.steps == 18
    assert all(torch.equal(tuned.state[name], plain.state[name]) for name in plain.state)


def test_a_rate_that_diverges_is_said_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "icl"):
        tuned = tuners.create("full", {"steps": 5, "batch_size": 4, "learning_rate": [1e30, 1e-3],
                                       "validation": 8, "clip": 0}).fit(planted(40), resources())  # fmt: skip
    assert tuned.notes["learning_rate"] == 1e-3
    assert tuned.notes["tried"]["1e+30"] is None
    assert "not finite" in tuned.notes["diverged"]
    assert "learning rate 1e+30" in caplog.text
    alone = tuners.create("full", {"steps": 5, "batch_size": 4, "learning_rate": 1e-3, "clip": 0})
    cheap = alone.fit(planted(32), resources()).cost
    assert tuned.cost.steps == cheap.steps + 1, "the run that diverged at its second step is counted"
    assert tuned.cost.tokens == cheap.tokens * 7 // 5


def test_where_all_rates_diverge_one_line_says_so() -> None:
    with pytest.raises(ModelError, match="not finite at step") as caught:
        tuners.create("full", {"steps": 5, "learning_rate": 1e30, "clip": 0}).fit(planted(40), resources())
    assert "\n" not in str(caught.value)


def test_pools_that_cannot_teach_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no rows to train on"):
        Lora().fit([], resources())
    with pytest.raises(ConfigError, match="1 examples for the 2 labels of 'rule'"):
        Lora().fit(planted(1), resources())
    with pytest.raises(ConfigError, match="validation: 16 of a pool of 10"):
        Lora(learning_rate=[1e-3, 1e-4]).fit(planted(10), resources())


def test_the_validation_split_is_balanced_and_drawn_by_the_seed() -> None:
    made = Lora(learning_rate=[1e-3, 1e-4], validation=6)
    skewed = [e for e in planted(40) if e.target == "A" or int(e.id[1:]) < 12]
    kept, held = made.split(skewed, resources())
    assert sorted(e.target for e in held) == list("AAABBB")
    assert {e.id for e in kept} | {e.id for e in held} == {e.id for e in skewed}
    assert [e.id for e in made.split(skewed, resources())[1]] == [e.id for e in held]
    assert [e.id for e in made.split(skewed, resources(seed=1))[1]] != [e.id for e in held]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = fit(dropout=0.1), fit(dropout=0.1), fit(dropout=0.1, seed=1)
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert any(not torch.equal(first.state[name], other.state[name]) for name in first.state)


def test_a_state_of_other_settings_is_refused() -> None:
    tuned = fit(rank=2, steps=1)
    with pytest.raises(ModelError, match="of another model or of other settings"):
        Lora(rank=4).restore(tuned.state, fresh())
    with pytest.raises(ModelError, match="is not in"):
        Full().restore(tuned.state, fresh())


# checkpoints


def interrupted(folder: Path, **given: Any) -> None:
    def kill(step: TrainingStep) -> None:
        if step.step == 4:
            raise Killed

    with pytest.raises(Killed):
        fit(folder=folder, report=kill, **given)


def first_step(folder: Path, **given: Any) -> int:
    steps: list[int] = []
    fit(folder=folder, report=lambda s: steps.append(s.step), **given)
    return steps[0]


@pytest.fixture
def _at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)


@pytest.mark.usefixtures("_at_every_step")
def test_damaged_and_foreign_checkpoints_are_passed_over(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    assert first_step(tmp_path, rank=4) == 1, "other settings"
    assert first_step(tmp_path, seed=3) == 1, "another seed"
    assert path.read_bytes() == whole
    for damaged in (whole[: len(whole) // 2], b"", whole[:8] + b"x" + whole[9:], b"\xff" * 64):
        path.write_bytes(damaged)
        assert first_step(tmp_path) == 1
    path.write_bytes(whole)
    assert first_step(tmp_path) == 4
    assert list(tmp_path.iterdir()) == [], "a complete run leaves nothing"


def test_a_checkpoint_is_of_one_run(tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    Checkpoint(path, "one").write({"a": torch.ones(2)}, {"done": 3})
    held = Checkpoint(path, "one").read()
    assert held is not None
    assert (held[0]["a"].tolist(), held[1]) == ([1, 1], {"done": 3})
    assert Checkpoint(path, "another").read() is None
    assert Checkpoint(None, "one").read() is None


@pytest.mark.usefixtures("_at_every_step")
def test_a_search_that_was_killed_goes_on_with_the_same_outcome(tmp_path: Path) -> None:
    given: dict[str, Any] = {"learning_rate": [1e-3, 1e-2], "validation": 8, "evaluate_every": 2}
    whole = fit(**given)
    seen: list[tuple[str, int]] = []

    def kill(step: TrainingStep) -> None:
        seen.append((step.run, step.step))
        if len(seen) == 9:
            raise Killed

    with pytest.raises(Killed):
        fit(folder=tmp_path, report=kill, **given)
    again: list[tuple[str, int]] = []
    resumed = fit(folder=tmp_path, report=lambda s: again.append((s.run, s.step)), **given)
    assert again[0] == ("learning_rate=0.01", 3)
    assert resumed.notes == whole.notes
    assert all(torch.equal(whole.state[name], resumed.state[name]) for name in whole.state)
    assert replace(resumed.cost, seconds=0, peak_bytes=0) == replace(whole.cost, seconds=0, peak_bytes=0)
