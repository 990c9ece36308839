"""The study as a whole, over a tiny network; what it refuses; what its report says of planted findings."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from icl.errors import ConfigError, ContextOverflow, ModelError
from icl.mechanism.contract import Decoder, Work
from icl.mechanism.gradient_descent import GradientDescent
from icl.mechanism.shared.gradient_descent.reading_decoder import AM, AOU, RIGHT, Sets
from icl.protocols import LanguageModel
from icl.tasks import TaskData, load_task
from icl.training import Network
from tests.engine.tiny import tiny_network
from tests.tuning.planted import RULE, TOKENIZER, ask, fresh, planted

SMALL: dict[str, Any] = {
    "task": "rule", "dimension": 2, "points": 3, "training_steps": 20, "batch_size": 32, "test_tasks": 100,
    "scales": [1.0, 2.0], "shots": 4, "queries": 6, "sets": 2, "validation": 4, "tuning_rates": [0.001, 0.1],
    "resamples": 100,
}  # fmt: skip


def decoder(network: Network) -> Decoder:
    @cache
    def engine() -> LanguageModel:
        return ask(network)

    return Decoder("tiny", network, TOKENIZER, engine)


def rule(length: int = 3) -> TaskData:
    train, test = planted(60, length=length), planted(20, seed=1, prefix="q")
    return TaskData(RULE, tuple(train), tuple(test))


def work_on(network: Network, folder: Path, told: list[int] | None = None) -> Work:
    return Work(
        seed=3, folder=folder, progress=(told if told is not None else []).append, note=print,
        model=decoder(network), tasks={"rule": rule()},
    )  # fmt: skip


def test_a_whole_study_leaves_the_network_as_it_was_and_repeats_itself(tmp_path: Path) -> None:
    network = fresh()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    study, found = GradientDescent(**SMALL), {}
    for step in study.steps():
        told: list[int] = []
        work = work_on(network, tmp_path, told)
        assert study.pace(step, work) > 0
        told.clear()
        found[step.name] = json.loads(json.dumps(study.run(step, work), allow_nan=False))
        assert told == sorted(told)
        assert told[-1] == step.units
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    last = study.steps()[-1]
    assert study.run(last, work_on(fresh(), tmp_path)) == found[last.name]
    shapes = {np.shape(rows) for rows in found["set 1"]["sim_aou"].values()}
    assert shapes == {(6, network.config.num_hidden_layers)}
    assert max(row["difference"] for row in found["construction"]["sizes"]) < 1e-6
    report = study.report(found)
    assert len(report.claims) == 9
    assert {figure.name.removeprefix("gradient_descent_") for figure in report.figures} == {
        "path", "scale", "sim_aou", "sim_am",
    }  # fmt: skip
    assert len(study.report({"construction": found["construction"]}).claims) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"points": 5, "dimension": 8}, "points is 5 and dimension 8; allowed: at least as many points"),
        ({"dimension": 1, "points": 1}, "dimension is 1; allowed: an integer >= 2"),
        ({"learning_rate": 0}, "learning_rate is 0; allowed: a number > 0"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1; allowed: a number >= 0"),
        ({"tuning_rates": [0.1, 0]}, "tuning_rates is 0; allowed: a number > 0"),
        ({"tuning_rates": []}, "allowed: a list of numbers above 0"),
        ({"scales": 2}, "scales is 2; allowed: a list"),
        ({"shots": 0}, "shots is 0; allowed: an integer >= 1"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_loads(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        GradientDescent(**given)


def test_a_task_without_labels_and_one_with_too_few_examples_are_refused() -> None:
    with pytest.raises(ConfigError, match="32"):
        GradientDescent(task="rule").check(None, {"rule": rule()})
    with pytest.raises(ConfigError, match="has 51 rows"):
        GradientDescent(task="rule", shots=40, queries=6).check(None, {"rule": rule()})
    with pytest.raises(ConfigError, match="'arithmetic' is of kind numeric"):
        GradientDescent(task="arithmetic").check(None, {"arithmetic": load_task("arithmetic")})


def test_a_prompt_that_is_too_long_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    study = GradientDescent(**SMALL | {"sets": 1})
    work = work_on(fresh(), tmp_path)
    work.tasks = {"rule": rule(length=60)}
    for step in (study.steps()[0], study.steps()[-1]):
        with pytest.raises(ContextOverflow, match="256") as error:
            study.run(step, work)
        assert "\n" not in str(error.value)


def test_a_decoder_whose_heads_cannot_be_read_is_refused() -> None:
    with pytest.raises(ModelError, match="attention heads of FalconForCausalLM cannot be read"):
        GradientDescent(**SMALL).check(decoder(tiny_network("falcon")), {"rule": rule()})


def planted_set(like: float, noise: float = 0.05) -> dict[str, Any]:
    """Findings of 40 queries and 3 layers: fine-tuning on the demonstrations is alike by `like` more than
    the controls are; it sets the first 8 answers right, of which demonstrations set 6."""
    draw = np.random.default_rng(0)
    rows = {name: (0.1 + noise * draw.standard_normal((40, 3))).tolist() for name in (*AOU, *AM)}
    rows["same"] = (0.1 + like + noise * draw.standard_normal((40, 3))).tolist()
    zero, tuned, shown = [False] * 40, [at < 8 for at in range(40)], [at < 6 for at in range(40)]
    right = dict.fromkeys(RIGHT, zero) | {"same": tuned, "shown": shown}
    queries = [str(at) for at in range(40)]
    return {
        "rate": 0.1, "validation": {"0.1": -0.5}, "untuned": -0.7, "queries": queries, "right": right,
        "sim_aou": rows, "sim_am": rows,
    }  # fmt: skip


@pytest.mark.parametrize(("like", "said"), [(0.2, True), (-0.2, False), (0.0, None)])
def test_a_planted_likeness_is_told_from_the_controls(like: float, said: bool | None) -> None:
    claims = Sets([planted_set(like)], 300).claims()
    assert [claim.holds for claim in claims] == [said, said, said, True]
    assert "Rec2FTP 0.750" in claims[3].measured
    assert "0.150" in claims[3].control
