"""STaR on a tiny model that writes chains, its label-free form, and rounds that are killed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.protocols import LanguageModel, TuningResources, tuners
from icl.training import Network, Root, TrainingRow, TrainingStep
from icl.tuning.full import Full
from icl.tuning.shared.regime import Regime
from icl.tuning.shared.tuner import RowWork
from icl.types import Example
from tests.tuning.planted import Killed, fresh, planted, resources

METHOD = {"few_shot": {"max_tokens": 24}}
POOL = [replace(e, rationale="so.") for e in planted(20)]


def tuner(**changes: Any) -> Any:
    lora = {"steps": 12, "batch_size": 10, "learning_rate": 2e-2, **changes.pop("lora", {})}
    given = {"method": METHOD, "rounds": 2, "rationalise": False, "with": {"lora": lora}}
    return tuners.create("star", {**given, **changes})


@pytest.fixture(scope="module")
def writing() -> Mapping[str, torch.Tensor]:
    """Weights that write chains in the right form, with answers by lot."""
    draw = random.Random(0)
    rows = [
        TrainingRow(e.id, f"{e.text}:", f" so. The answer is {draw.choice('AB')}.\n", "chains")
        for e in planted(64, seed=3)
    ]
    given = resources()
    settings = Full(steps=30, batch_size=16, learning_rate=5e-3)
    tuned = settings.learn(RowWork(rows, settings, given, None), None, given, {})
    return {name: value.clone() for name, value in tuned.network.state_dict().items()}


def test_chains_that_are_right_make_more_of_them(writing: Mapping[str, torch.Tensor]) -> None:
    def base() -> Network:
        network = fresh()
        network.load_state_dict(writing)
        return network

    tuned = tuner().fit(POOL, resources(network=base(), fresh=base))
    first, second = tuned.notes["rounds"]
    assert first["questions"] == 20
    assert 4 <= first["solved"] < 18
    assert second["solved"] > first["solved"]
    assert tuned.cost.tokens_validation >= first["tokens_sampling"] + second["tokens_sampling"] > 0
    assert tuned.cost.steps == 24


def scripted(reply: Any, asked: list[Network] | None = None) -> Any:
    """resources.ask of a model that answers by a script, whatever was trained."""

    def make(network: Network, root: Root | None = None) -> LanguageModel:
        if asked is not None:
            asked.append(network)
        return FakeModel(reply_with=reply)

    return make


def by_script(reply: Any, **more: Any) -> TuningResources:
    return resources(ask=scripted(reply), **more)


def rows_of(made: Any, pool: Sequence[Example], given: TuningResources) -> list[tuple[str, str, str]]:
    drawn = made._drawn(pool, None, None, given)
    return [(row["id"], row["completion"], row["source"]) for row in drawn["rows"]]


def test_without_labels_the_answer_of_most_chains_is_learned() -> None:
    made = tuner(labels=False, n=3, temperature=1.0, rationalise=None)

    def reply(prompt: str, sample: int) -> str:
        return f" way {sample}. The answer is {'AAB'[sample]}.\n"

    expected = [("p1", f" way {i}. The answer is A.", "sampled") for i in (0, 1)]
    assert rows_of(made, POOL[1:2], by_script(reply)) == expected
    assert POOL[1].target == "B"


def test_questions_without_a_right_chain_are_asked_with_a_hint() -> None:
    made = tuner(rationalise=None)

    def reply(prompt: str, sample: int) -> str:
        return f" hm. The answer is {'B' if 'answer is B' in prompt else 'A'}.\n"

    found = rows_of(made, POOL[:2], by_script(reply))
    assert [(name, source) for name, _, source in found] == [("p0", "sampled"), ("p1", "rationalised")]
    assert "(" not in found[1][1]


def test_nothing_right_is_said_and_a_later_round_without_chains_is_the_end() -> None:
    with pytest.raises(ConfigError, match="no chain of 20 questions of task 'rule' was right"):
        tuner().fit(POOL, by_script(lambda prompt, sample: " I do not know."))
    asked: list[Network] = []

    def make(network: Network, root: Root | None = None) -> LanguageModel:
        asked.append(network)
        return FakeModel(reply_with=lambda p, s: " so. The answer is A.\n" if len(asked) == 1 else "")

    tuned = tuner(lora={"steps": 2}).fit(POOL, resources(ask=make))
    assert tuned.notes["ended"] == "round 2 kept no chain"
    assert len(tuned.notes["rounds"]) == 1


@pytest.mark.parametrize("from_base", [True, False])
def test_a_round_begins_at_the_base_or_goes_on(from_base: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    firsts: list[float] = []
    learn = Regime.learn

    def noted(self: Regime, *args: Any, **more: Any) -> Any:
        tuned = learn(self, *args, **more)
        firsts.append(tuned.notes["losses"][0])
        return tuned

    monkeypatch.setattr(Regime, "learn", noted)
    given = by_script(lambda prompt, sample: " so. The answer is A.\n")
    tuner(from_base=from_base, lora={"steps": 6, "batch_size": 4}).fit(POOL[:4], given)
    assert firsts[1] == pytest.approx(firsts[0], abs=1e-4) if from_base else firsts[1] < 0.7 * firsts[0]


@pytest.mark.parametrize("dies_in", [1, 2])
def test_a_killed_run_goes_on_to_the_same_weights(
    dies_in: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)
    made = tuner(from_base=False, lora={"steps": 4, "batch_size": 4})

    def reply(prompt: str, sample: int) -> str:
        return " so. The answer is A.\n"

    whole = made.fit(POOL, by_script(reply))
    seen: list[int] = []

    def kill(step: TrainingStep) -> None:
        seen.append(step.step)
        if seen.count(3) == dies_in:
            raise Killed

    with pytest.raises(Killed):
        made.fit(POOL, by_script(reply, folder=tmp_path, report=kill))
    asked: list[Network] = []
    again = made.fit(POOL, resources(ask=scripted(reply, asked), folder=tmp_path))
    assert len(asked) == 2 - dies_in
    assert all(torch.equal(whole.state[name], again.state[name]) for name in whole.state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rounds": 0}, "rounds is 0"),
        ({"n": 4, "temperature": 0.0}, "greedy chains are all alike"),
        ({"labels": False, "rationalise": True}, "does not look at"),
        ({"method": "few_shto"}, "few_shot"),
        ({"method": "auto_cot"}, "needs an encoder"),
    ],
)
def test_bad_parameters(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tuners.create("star", given)
