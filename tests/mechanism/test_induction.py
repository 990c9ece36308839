"""The study of induction heads on a circuit written by hand, and on a network without one."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from icl.engine.loading.load import engine_on
from icl.errors import ConfigError, ModelError
from icl.mechanism.contract import Decoder, Report, Work, studies
from icl.mechanism.induction import Induction
from icl.mechanism.shared.heads import Head, HeadReader
from icl.mechanism.shared.induction.circuits import read_circuits
from icl.mechanism.shared.induction.repeats import losses, repeated
from icl.mechanism.shared.induction.scores import Patterns, read_scores
from icl.mechanism.shared.intervals import mean_of_few
from icl.mechanism.shared.paired import sign_flip
from icl.tasks import TaskData
from icl.types import Example
from tests.engine.tiny import tiny_network
from tests.tuning.planted import RULE, TOKENIZER

from .planted_heads import POSITIONS, VOCABULARY, induction_circuit

SMALL: dict[str, Any] = {
    "sequences": 6, "tokens": 8, "repeats": 3, "heads": 1, "draws": 2, "ablated": 4, "task": "rule",
    "shots": 2, "sets": 2, "queries": 4, "pool": 20, "texts": "rule", "count": 3,
    "early": 10, "late": 40, "window": 5,
}  # fmt: skip
INDUCTION, PREVIOUS = Head(1, 1), Head(0, 0)


def rule_data() -> TaskData:
    draw = random.Random(0)

    def rows(name: str, count: int) -> tuple[Example, ...]:
        texts = ["".join(draw.choices("abcdef", k=5)) for _ in range(count)]
        return tuple(
            Example(f"{name}-{n}", {"text": t}, "A" if t[0] in "abc" else "B") for n, t in enumerate(texts)
        )

    return TaskData(RULE, rows("train", 80), rows("test", 20))


def decoder_of(network: Any, context: int = POSITIONS) -> Decoder:
    @cache
    def engine() -> Any:
        return engine_on(network, TOKENIZER, name="planted", context_length=context, fingerprint="planted")

    return Decoder("planted", network, TOKENIZER, engine, "planted", context)


def run_study(study: Induction, model: Decoder, folder: Path) -> tuple[dict[str, Any], Report]:
    found: dict[str, Any] = {}
    for step in study.steps():
        place = folder / step.name
        place.mkdir()
        told: list[int] = []
        work = Work(
            seed=0, folder=place, progress=told.append, note=lambda _: None, model=model,
            tasks={"rule": rule_data()}, found={name: found[name] for name in step.after or ()},
        )  # fmt: skip
        found[step.name] = study.run(step, work)
        assert told[-1] == step.units
    return found, study.report(found)


def repeats_of(count: int = 6) -> tuple[torch.Tensor, Patterns]:
    texts = repeated(count, 8, 3, np.arange(25, 75), 2, np.random.default_rng)
    return texts, Patterns(1, 8, 3)


def test_the_planted_circuit_has_the_scores_that_it_was_given() -> None:
    reader = HeadReader(induction_circuit())
    texts, patterns = repeats_of()
    scores = read_scores(reader, texts, patterns, read_circuits(reader), lambda _: None)
    prefix, previous = scores["prefix"].mean(axis=0), scores["previous"].mean(axis=0)
    assert prefix[INDUCTION] > 0.97
    assert previous[PREVIOUS] > 0.97
    uniform, uniform_previous = patterns.uniform(patterns.prefix), patterns.uniform(patterns.previous)
    assert 0.04 < uniform < 0.1
    for idle in (Head(0, 1), Head(1, 0)):
        assert prefix[idle] == pytest.approx(uniform, abs=1e-6)
        assert previous[idle] == pytest.approx(uniform_previous, abs=1e-6)
    assert prefix[PREVIOUS] < 0.02
    assert np.nanmean(scores["direct"][:, 1, 1]) > 5
    circuits = read_circuits(reader)
    assert circuits.positivity(1)[1] == pytest.approx(1.0, abs=0.02)
    assert circuits.positivity(0)[0] < 0  # type: ignore[operator]  # its place counts in the mean alone
    assert circuits.positivity(1)[0] == 0.0


def test_without_its_head_the_circuit_foretells_nothing() -> None:
    reader = HeadReader(induction_circuit())
    texts, patterns = repeats_of()
    second = patterns.lead + patterns.period  # found[:, second - 1] is the loss of its first token
    whole = losses(reader, texts)
    with reader.without([INDUCTION]):
        without = losses(reader, texts)
    with reader.without([Head(1, 0)]):
        idle = losses(reader, texts)
    assert whole[:, second:].mean() < 1.0
    assert without[:, second:].mean() > 4.0
    assert np.allclose(idle, whole, atol=1e-5)
    assert abs(without[:, second:].mean() - without[:, : second - 1].mean()) < 0.2


def test_the_heads_of_a_random_network_are_nearly_uniform() -> None:
    network = tiny_network("llama", num_hidden_layers=3)
    with torch.no_grad():
        for block in network.model.layers:
            block.self_attn.q_proj.weight *= 0.05
    reader = HeadReader(network)
    texts, patterns = repeats_of(16)
    scores = read_scores(reader, texts, patterns, read_circuits(reader), lambda _: None)["prefix"]
    assert np.abs(scores.mean(axis=0) - patterns.uniform(patterns.prefix)).max() < 0.01


def test_the_study_finds_the_circuit_and_what_it_is_for(tmp_path: Path) -> None:
    found, report = run_study(Induction(**SMALL), decoder_of(induction_circuit()), tmp_path)
    assert found["repeated"]["taken"]["top"] == ["1.1"]
    assert found["repeated"]["taken"]["random 1"] == ["1.0"]
    means = {n: np.mean(rows["later"]) for n, rows in found["repeated"]["found"].items()}
    assert means["top"] > means["none"] + 3
    assert means["random 1"] == pytest.approx(means["none"], abs=1e-4)
    there, copies, lifts, previous, costs = report.claims[:5]
    assert there.holds
    assert "1 of 4 heads above 0.3, in layers 1; the highest, 1.1" in there.measured
    assert previous.holds
    assert "of head 0.0" in previous.measured
    assert costs.holds
    assert copies.holds is lifts.holds is None  # one head against three is no test
    right = {n: np.array(about["right"], dtype=float) for n, about in found["accuracy"]["found"].items()}
    rows = (right["top"] - (right["random 1"] + right["random 2"]) / 2).mean(axis=0)
    assert f"top less random heads: {mean_of_few(rows)}, p {sign_flip(rows):.3f}" in report.claims[-1].control
    table = next(t for t in report.tables if t.name == "heads taken away")
    assert [row[0] for row in table.rows] == ["none", "top", "random 1", "random 2"]
    assert {figure.name for figure in report.figures} == {
        "prefix_heads", "previous_heads", "repeated", "running", "accuracy",
    }  # fmt: skip


def test_the_mean_in_place_of_heads_and_a_step_that_was_broken_off(tmp_path: Path) -> None:
    study = Induction(**SMALL, ablation="mean")
    model = decoder_of(induction_circuit())
    found, report = run_study(study, model, tmp_path)
    assert any("its mean over the running texts" in note for note in report.notes)
    kept = tmp_path / "repeated" / "none.json"
    kept.write_text('{"first": [9, 9], "later": [8, 8], "by_position": [7]}')
    for other in ("top", "random 1", "random 2"):
        (tmp_path / "repeated" / f"{other}.json").unlink()
    step = study.steps()[1]
    work = Work(
        seed=0, folder=tmp_path / "repeated", progress=lambda _: None, note=lambda _: None, model=model,
        tasks={"rule": rule_data()}, found={"scores": found["scores"]},
    )  # fmt: skip
    again = study.run(step, work)
    assert again["found"]["none"]["first"] == [9, 9]
    assert again["found"]["top"] == found["repeated"]["found"]["top"]
    assert study.pace(step, work) > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ablation": "zer"}, "ablation is 'zer'; allowed: zero, mean"),
        ({"heads": 0}, "heads is 0"),
        ({"late": 9}, "late is 9; allowed: an integer >= 11"),
        ({"window": 10}, "window is 10"),
        ({"tokens": 1}, "tokens is 1"),
        ({"texts": " "}, "texts is ' '"),
    ],
)
def test_parameters_out_of_range(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        studies.create("induction", {**SMALL, **given})


def test_what_does_not_fit_the_model_is_one_line() -> None:
    tasks = {"rule": rule_data()}
    model = decoder_of(induction_circuit())
    with pytest.raises(
        ConfigError, match="late makes texts of 400 tokens, and the context of planted has 128"
    ):
        Induction(**{**SMALL, "late": 400}).check(model, tasks)
    with pytest.raises(ConfigError, match="heads is 3, and planted has 4 heads; allowed: heads <= 2"):
        Induction(**{**SMALL, "heads": 3}).check(model, tasks)
    from transformers import MambaConfig, MambaForCausalLM

    mamba = MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1))
    with pytest.raises(ModelError, match=r"heads of MambaForCausalLM cannot be read: .*gpt2"):
        Induction(**SMALL).check(decoder_of(mamba), tasks)
    study = Induction(**{**SMALL, "tokens": 60, "repeats": 2})
    work = Work(0, Path(), lambda _: None, lambda _: None, model, tasks)
    with pytest.raises(ConfigError, match="tokens is 60, and the middle half of the vocabulary has"):
        study.run(study.steps()[0], work)
