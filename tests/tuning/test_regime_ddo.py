"""The discriminative loss by hand and on a categorical toy; rounds on a tiny model."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.protocols import LanguageModel, tuners
from icl.training import Network, Root, TrainingRow, TrainingStep
from icl.tuning.ddo import DDO, SAMPLE, Discrimination, PairedWork, logprobs_of
from icl.tuning.full import Full
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import TokenRow, tokenised
from icl.tuning.shared.tuner import RowWork
from tests.tuning.planted import RULE, TOKENIZER, Killed, fresh, planted, renderer_for, resources


def row(name: str, *, sample: bool = False) -> TokenRow:
    return TokenRow((2, 5), 1, TrainingRow(name, "", "", SAMPLE if sample else "data"))


def test_the_loss_by_hand() -> None:
    """D = -1 - -2 = 1 of data, -3 - -2.5 = -0.5 of a sample; beta 2, alpha 3, two samples a row."""
    loss = Discrimination(3.0, 2.0, 2, {"d": -2.0, "s": -2.5})
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    assert float(loss.of(torch.tensor([-0.4, -0.6]), row("d"))) == pytest.approx(-math.log(sigmoid(2.0)))
    expected = -3 / 2 * math.log(1 - sigmoid(-1.0))
    assert float(loss.of(torch.tensor([-3.0]), row("s", sample=True))) == pytest.approx(expected)
    assert loss.norm([row("d"), row("s", sample=True), row("t", sample=True)]) == 1.0


def test_the_optimum_is_the_distribution_of_the_data() -> None:
    """Four categories, data and samples in exact proportion to p_data and p_ref: theta becomes p_data within
    1e-3, far from the reference and from plain likelihood's weights on samples."""
    data, reference = [0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.4, 0.4]
    rows = [
        (row(f"{kind}{category}.{copy}", sample=kind == "s"), category)
        for kind, shares in (("d", data), ("s", reference))
        for category, share in enumerate(shares)
        for copy in range(round(10 * share))
    ]
    loss = Discrimination(1.0, 1.0, 1, {r.row.id: math.log(reference[c]) for r, c in rows})
    theta = torch.tensor(reference).log().requires_grad_(True)
    optimiser = torch.optim.LBFGS([theta], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logprobs = theta.log_softmax(0)
        total = torch.stack([loss.of(logprobs[c][None], r) for r, c in rows]).sum()
        total = total / loss.norm([r for r, _ in rows])
        torch.autograd.backward(total)
        return total

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    assert theta.softmax(0).tolist() == pytest.approx(data, abs=1e-3)


def whole_answers(network: Network) -> list[float]:
    """Probability of the right answer with its end, on rows that nothing saw."""
    rows = task_rows(planted(20, seed=9), RULE, renderer_for(RULE), "always")
    found, _ = logprobs_of(network, None, tokenised(rows, TOKENIZER, 99).rows, 2048)
    return [math.exp(value) for value in found.values()]


def test_samples_of_its_own_are_told_from_the_pool() -> None:
    draw = random.Random(0)
    rows = [TrainingRow(e.id, f"{e.text}:", f"{draw.choice('AB')}\n", "") for e in planted(64, seed=3)]
    given = resources()
    settings = Full(steps=30, batch_size=16, learning_rate=5e-3)
    state = settings.learn(RowWork(rows, settings, given, None), None, given, {}).network.state_dict()

    def base() -> Network:
        network = fresh()
        network.load_state_dict(state)
        return network

    before = sum(whole_answers(base())) / 20
    lora = {"steps": 16, "batch_size": 24, "learning_rate": 1e-2, "schedule": "constant"}
    tuner = tuners.create("ddo", {"rounds": 2, "with": {"lora": lora}})
    tuned = tuner.fit(planted(24), resources(network=base(), fresh=base))
    after = sum(whole_answers(tuned.network)) / 20
    assert before < 0.7
    assert after > before + 0.2
    first, second = tuned.notes["rounds"]
    assert first["samples"] == second["samples"] == 24
    assert second["samples_equal_to_data"] > first["samples_equal_to_data"]
    assert tuned.cost.tokens_validation > first["tokens_sampling"] > 0


def scripted(network: Network, root: Root | None = None) -> LanguageModel:
    return FakeModel(reply_with=lambda prompt, sample: "BA"[sample % 2] + ("\n" if sample < 2 else "aaaa"))


def test_a_batch_is_rows_each_beside_its_samples() -> None:
    tuner = tuners.create("ddo", {"samples": 3, "max_tokens_sampled": 3, "with": {"lora": {"batch_size": 2}}})
    assert isinstance(tuner, DDO)
    given = resources(ask=scripted)
    rows = task_rows(planted(4), RULE, given.renderer, "always")
    drawn = tuner._drawn(rows, given.network, None, given, 1)
    assert [s["completion"] for s in drawn["samples"][:3]] == ["B\n", "A\n", "Baa"]
    assert drawn["counts"]["samples_cut"] == 4
    assert drawn["reference"].keys() == {f"p{i}{end}" for i in range(4) for end in ("", "/0", "/1", "/2")}
    samples = [TrainingRow(**s) for s in drawn["samples"]]
    work = PairedWork(rows, samples, tuner, given, None, 1)
    batch = work.batch(0, Attached(given.network))
    assert [r.row.source for r in batch] == ["rule"] * 2 + [SAMPLE] * 6
    assert {r.row.id.split("/")[0] for r in batch[2:]} == {r.row.id for r in batch[:2]}


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)
    lora = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3}
    tuner = tuners.create("ddo", {"rounds": 2, "max_tokens_sampled": 3, "with": {"lora": lora}})
    whole = tuner.fit(planted(6), resources(ask=scripted))
    seen: list[int] = []

    def kill(step: TrainingStep) -> None:
        seen.append(step.step)
        if seen.count(3) == 2:
            raise Killed

    with pytest.raises(Killed):
        tuner.fit(planted(6), resources(ask=scripted, folder=tmp_path, report=kill))
    again = tuner.fit(planted(6), resources(ask=scripted, folder=tmp_path))
    assert all(torch.equal(whole.state[name], again.state[name]) for name in whole.state)


@pytest.mark.parametrize("given", [{"alpha": 0}, {"beta": -1}, {"samples": 0}, {"rounds": 1.5}])
def test_bad_parameters(given: dict[str, Any]) -> None:
    (key,) = given
    with pytest.raises(ConfigError, match=f"{key} is "):
        tuners.create("ddo", given)
