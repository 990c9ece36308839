"""Methods that change weights: where they start, what they learn, merged, kept, killed and gone on with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor

from icl.protocols import tuners
from icl.training import Network, TrainingStep, Tuned
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.folder import read_about, read_state, save_tuned
from icl.tuning.shared.forward import token_logprobs
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import tokenised
from icl.tuning.shared.tuner import AdaptingTuner
from tests.engine.tiny import tiny_network
from tests.tuning.planted import CONTEXT, RULE, TOKENIZER, Killed, fresh, planted, renderer_for, resources

METHODS: dict[str, dict[str, Any]] = {
    "full": {"learning_rate": 3e-3},
    "lora": {"learning_rate": 1e-2},
    "dora": {"learning_rate": 1e-2},
    "adalora": {"learning_rate": 3e-2, "init_rank": 6, "target_rank": 3},
    "dylora": {"learning_rate": 1e-2, "rank": 4, "validation": 8},
    "fourierft": {"learning_rate": 0.05, "steps": 48, "n_frequency": 200, "layers": "all"},
}
EVERY = pytest.mark.parametrize("name", METHODS)
TRAIN, TEST = planted(56), planted(40, seed=9, prefix="t")


def tuner(name: str, **more: Any) -> AdaptingTuner:
    return tuners.create(name, {"batch_size": 16, "steps": 32, **METHODS[name], **more})  # type: ignore[return-value]


@lru_cache
def trained(name: str) -> Tuned:
    return tuner(name).fit(TRAIN, resources())


def logits(network: Network) -> Tensor:
    """[1, T, V] of some text."""
    with torch.no_grad():
        ids = torch.tensor([TOKENIZER.encode("fab:A\ncde:B\nbad:")])
        return network(ids, use_cache=False).logits  # type: ignore[no-any-return]


def accuracy(network: Network) -> float:
    """Share of texts that were not trained on whose right label is the more probable."""
    rows = task_rows(TEST, RULE, renderer_for(RULE))
    with torch.no_grad():
        scores = []
        for label in RULE.labels:
            made = tokenised([replace(row, completion=label) for row in rows], TOKENIZER, CONTEXT)
            scores.append([float(x.sum()) for x in token_logprobs(network, made.rows)])
    right = sum((a > b) == (e.target == "A") for a, b, e in zip(*scores, TEST, strict=True))
    return right / len(TEST)


@EVERY
def test_it_starts_at_the_base_models_outputs(name: str) -> None:
    attached = tuner(name).attach(fresh(), resources())
    attached.network.eval()
    assert torch.allclose(logits(attached.network), logits(fresh()), atol=2e-5)


def test_the_library_draws_fourierft_a_start_far_from_it() -> None:
    torch.manual_seed(0)
    attached = tuner("fourierft", init="library").attach(fresh(), resources())
    assert (logits(attached.network) - logits(fresh())).abs().max() > 0.5
    assert "not the base" in attached.notes()["start"]
    assert tuner("fourierft").attach(fresh(), resources()).notes() == {"start": "base"}


@EVERY
def test_it_learns_a_planted_rule(name: str) -> None:
    tuned = trained(name)
    assert accuracy(tuned.network) >= 0.85
    assert not any(p.requires_grad for p in tuned.network.parameters())
    assert tuned.cost.trainable > 0
    assert tuned.cost.steps == METHODS[name].get("steps", 32)


@EVERY
def test_merged_is_the_network_with_its_modules_within_rounding(name: str) -> None:
    tuned = trained(name)
    attached = tuner(name).attach(fresh(), None)
    attached.load(tuned.state)
    attached.network.eval()
    assert (logits(attached.network) - logits(tuned.network)).abs().max() < 5e-4
    assert type(tuned.network) is type(fresh())
    assert {type(m) for m in tuned.network.modules()} == {type(m) for m in fresh().modules()}


@EVERY
def test_saved_and_read_back(name: str, tmp_path: Path) -> None:
    tuned = trained(name)
    save_tuned(tuned, tmp_path, {"base": "tiny"})
    about = read_about(tmp_path)
    again = tuners.create(about["tuner"], about["parameters"]).restore(read_state(tmp_path), fresh())
    assert torch.equal(logits(again.network), logits(tuned.network))
    json.dumps(dict(tuned.notes))
    assert (tmp_path / "adapter_config.json").is_file() == (name != "full")
    if name != "full":
        theirs = peft.PeftModel.from_pretrained(fresh(), str(tmp_path)).eval()
        assert (logits(theirs) - logits(tuned.network)).abs().max() < 5e-4


@EVERY
def test_killed_and_gone_on_with_to_the_same_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icl.tuning.shared.checkpoint.EVERY", 0.0)
    more = {} if name in ("full", "fourierft") else {"dropout": 0.1}
    short = tuner(name, steps=10, batch_size=4, **more)
    whole = short.fit(TRAIN, resources())

    def kill(step: TrainingStep) -> None:
        if step.step == 6:
            raise Killed

    with pytest.raises(Killed):
        short.fit(TRAIN, resources(folder=tmp_path, report=kill))
    steps: list[int] = []
    resumed = short.fit(TRAIN, resources(folder=tmp_path, report=lambda s: steps.append(s.step)))
    assert steps[0] == 6
    assert all(torch.equal(whole.state[key], resumed.state[key]) for key in whole.state)
    assert torch.equal(logits(whole.network), logits(resumed.network))
    assert resumed.notes == whole.notes
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"full"}))
def test_transposed_weights_are_merged_too(name: str) -> None:
    made = tuner(name)
    attached = made.attach(tiny_network("gpt2"), resources())
    shake(attached)
    state = attached.state()
    attached.network.eval()
    with_modules = logits(attached.network)
    assert (with_modules - logits(tiny_network("gpt2"))).abs().max() > 1e-2
    assert (logits(attached.finish()[0]) - with_modules).abs().max() < 5e-4
    again = made.restore(state, tiny_network("gpt2"))
    assert (logits(again.network) - with_modules).abs().max() < 5e-4


def shake(attached: Attached) -> None:
    """Trained parameters away from where they start."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in attached.parameters().values():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)


def test_dora_by_its_formula() -> None:
    """One norm an output feature: a row of [out, in]; the magnitude is trained."""
    made = tuner("dora", rank=2, alpha=4)
    attached = made.attach(fresh(), resources())
    shake(attached)
    state = attached.state()
    merged, _ = attached.finish()
    old = dict(fresh().named_parameters())
    for layer in ("self_attn.k_proj", "mlp.down_proj"):
        place = f"model.layers.1.{layer}"
        a, b, m = (
            state[f"base_model.model.{place}.{what}"]
            for what in ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
        )
        moved = old[f"{place}.weight"] + 4 / 2 * b @ a
        expected = m[:, None] * moved / moved.pow(2).sum(1, keepdim=True).sqrt()
        assert torch.allclose(merged.get_parameter(f"{place}.weight"), expected, atol=1e-5)
    start = tuner("dora").attach(fresh(), resources()).state()
    trained_now = trained("dora").state
    magnitudes = [key for key in start if "magnitude" in key]
    assert len(magnitudes) == 14
    assert all((start[key] - trained_now[key]).abs().max() > 1e-3 for key in magnitudes)


# adalora


def test_adalora_keeps_the_budget_that_was_asked_for() -> None:
    notes = trained("adalora").notes
    assert len(notes["ranks"]) == 14
    assert notes["rank_total"] == notes["rank_budget"] == 3 * 14
    assert len(set(notes["ranks"].values())) > 1, "layers do not get the same"
    assert max(notes["ranks"].values()) <= 6
    alive = {k: int((v != 0).sum()) for k, v in trained("adalora").state.items() if k.endswith("lora_E")}
    assert sum(alive.values()) == 3 * 14


def test_adalora_prunes_between_its_first_and_last_steps() -> None:
    made = tuner("adalora", steps=20, t_init=0.2, t_final=0.4, batch_size=4)
    totals: list[int] = []
    attach = made.attach

    def watched(network: Network, given: Any) -> Attached:
        attached = attach(network, given)
        after = attached.after_step

        def after_step(step: int, of: int) -> None:
            after(step, of)
            totals.append(attached.notes()["rank_total"])

        attached.after_step = after_step  # type: ignore[method-assign]
        return attached

    made.attach = watched  # type: ignore[method-assign]
    made.fit(TRAIN, resources())
    start, end = 6 * 14, 3 * 14
    expected = [start] * 4 + [int((start - end) * (1 - n / 8) ** 3 + end) for n in range(1, 9)] + [end] * 8
    assert totals == expected


def test_adalora_logs_the_orthogonality_term_apart() -> None:
    attached = tuner("adalora").attach(fresh(), resources())
    held = [p.detach() for n, p in attached.parameters().items() if "lora_E" not in n]
    norms = [float(torch.linalg.norm((p @ p.T if len(p) == 6 else p.T @ p) - torch.eye(6))) for p in held]
    assert len(norms) == 28
    extra = attached.extra_loss()
    assert extra is not None
    assert float(extra.detach()) == pytest.approx(0.5 * sum(norms) / 28, rel=1e-5)
    notes = trained("adalora").notes
    assert notes["extra_loss"][0] == pytest.approx(0.5 * math.sqrt(6), rel=0.1)
    assert notes["losses"][0] == pytest.approx(trained("lora").notes["losses"][0], rel=1e-4)


# dylora


def dylora(**more: Any) -> tuple[AdaptingTuner, Attached]:
    made = tuner("dylora", **more)
    attached = made.attach(fresh(), resources())
    shake(attached)
    return made, attached


def test_dylora_asks_a_lora_of_the_first_ranks() -> None:
    """Rank b merged by hand: W + alpha / b B[:, :b] A[:b]."""
    old = dict(fresh().named_parameters())
    place = "model.layers.0.mlp.up_proj"
    for b in (1, 3, 4):
        _, attached = dylora(ask_rank=b, alpha=8)
        state = attached.state()
        a, bb = (state[f"base_model.model.{place}.lora_{which}.weight"] for which in "AB")
        assert len(a) == 4, "all ranks are kept"
        assert (attached.peft_config() is None) == (b != 4)
        attached.network.eval()
        with_modules = logits(attached.network)
        merged, _ = attached.finish()
        expected = old[f"{place}.weight"] + 8 / b * bb[:, :b] @ a[:b]
        assert torch.allclose(merged.get_parameter(f"{place}.weight"), expected, atol=1e-5)
        assert (logits(merged) - with_modules).abs().max() < 5e-4


@pytest.mark.parametrize("updated", ["all", "frozen"])
def test_dylora_updates_the_ranks_that_were_drawn(updated: str) -> None:
    _, attached = dylora(updated=updated)
    attached.network.train()
    optimiser = torch.optim.AdamW(attached.parameters().values(), lr=0.1, weight_decay=0.1)
    drawn = set()
    for step in range(12):
        before = attached.state()
        attached.before_step(step, 12, torch.Generator().manual_seed(step))
        b: int = attached._drawn  # type: ignore[attr-defined]
        drawn.add(b)
        attached.network(torch.tensor([[2, 9, 30, 31]]), use_cache=False).logits.logsumexp(
            -1
        ).sum().backward()
        optimiser.step()
        attached.after_step(step, 12)
        optimiser.zero_grad()
        moved = moved_ranks(before, attached.state())
        assert moved == ({b - 1} if updated == "frozen" else set(range(b)))
    assert drawn == {1, 2, 3, 4}


def moved_ranks(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[int]:
    found: set[int] = set()
    for key, old in before.items():
        changed = (after[key] != old).any(1 if "lora_A" in key else 0)
        found |= {int(i) for i in changed.nonzero()[:, 0]}
    return found


def test_dylora_tries_every_rank_on_the_validation_split() -> None:
    tuned = trained("dylora")
    ranks = tuned.notes["validation_by_rank"]
    assert list(ranks) == ["1", "2", "3", "4"]
    assert ranks["4"] == pytest.approx(tuned.notes["looks"][-1][1], abs=1e-5)
    assert len(set(ranks.values())) > 1
    assert tuned.notes["rows"] == len(TRAIN) - 8
    again = tuner("dylora", every_rank=False, ask_rank=2).fit(TRAIN, resources())
    assert "validation_by_rank" not in again.notes
    assert again.notes["rows"] == len(TRAIN)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("adalora", {"target_rank": 12}, "target_rank is 12; allowed: less than init_rank"),
        ("adalora", {"t_init": 0.5, "t_final": 0.5}, "leave none of 64 steps"),
        ("dylora", {"ask_rank": 9}, "ask_rank is 9"),
        ("dylora", {"updated": "some"}, "allowed: all, frozen"),
        ("fourierft", {"layers": "heads"}, "query_value, all"),
    ],
)
def test_wrong_settings(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        tuners.create(name, given)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("dora", {"rank": 40}, "rank is 40"),
        ("adalora", {"init_rank": 40}, "rank is 40"),
        ("dylora", {"rank": 40}, "rank is 40"),
        ("fourierft", {"n_frequency": 2000}, "n_frequency"),
    ],
)
def test_what_does_not_fit_the_network_is_said(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said) as caught:
        tuner(name, **{**METHODS[name], **given}).attach(fresh(), resources())
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
