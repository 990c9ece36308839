"""Trainings at the edge of what numbers, steps and memory allow: they work, or one line says why not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from icl.errors import ConfigError
from icl.protocols import tuners
from icl.tuning.lora import Lora
from icl.tuning.shared import loop as loop_module
from icl.tuning.shared.loop import Diverged, train
from icl.tuning.shared.objective import NegativeLogLikelihood
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import tokenised
from tests.tuning.planted import CONTEXT, RULE, TOKENIZER, fresh, planted, renderer_for, resources

POOL = planted(12)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_adalora_prunes_to_its_budget_in_however_few_steps(steps: int) -> None:
    made = tuners.create("adalora", {"steps": steps, "init_rank": 4, "target_rank": 2, "batch_size": 4})
    notes = made.fit(POOL, resources()).notes
    # ties in importance go together: never more than the budget
    assert 0 < notes["rank_total"] <= notes["rank_budget"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("lora", {"steps": 1, "learning_rate": 1e30}),
        ("full", {"steps": 2, "learning_rate": 1e38}),
        ("lora", {"steps": 1, "learning_rate": 1e30, "evaluate_every": 1, "validation": 4}),
    ],
)
def test_weights_that_say_nothing_after_the_last_step_have_diverged(name: str, given: dict[str, Any]) -> None:
    made = tuners.create(name, {"batch_size": 4, **given})
    with pytest.raises(Diverged, match=r"with learning rate 1e\+3[08]; try a smaller one"):
        made.fit(POOL, resources())


def test_a_rate_that_diverges_at_its_end_leaves_the_race_to_the_others() -> None:
    made = tuners.create(
        "lora", {"steps": 1, "batch_size": 4, "validation": 4, "learning_rate": [1e30, 1e-3]}
    )
    notes = made.fit(POOL, resources()).notes
    assert notes["learning_rate"] == 1e-3
    assert notes["tried"]["1e+30"] is None
    assert "1e+30" in notes["diverged"]


def test_memory_that_ends_on_the_way_back_counts_no_gradient_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tokenised(task_rows(POOL, RULE, renderer_for(RULE)), TOKENIZER, CONTEXT).rows

    def trained() -> tuple[dict[str, Any], Any]:
        torch.manual_seed(0)
        made = Lora(steps=2, batch_size=8, learning_rate=1e-2, clip=0)
        attached = made.attach(fresh(), None)
        done = train(attached, lambda step: rows, NegativeLogLikelihood("per_token"), made, 1e-2, seed=0)
        return attached.state(), done

    whole, first = trained()
    plain, fails = torch.autograd.backward, [True]

    def breaks_off(*given: Any, **more: Any) -> None:
        plain(*given, **more)
        if fails:
            fails.pop()
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(loop_module.torch.autograd, "backward", breaks_off)
    again, second = trained()
    assert not fails
    assert second.losses == pytest.approx(first.losses, abs=1e-5)
    assert second.cost.tokens == first.cost.tokens
    for name, tensor in whole.items():
        assert torch.allclose(tensor, again[name], atol=1e-4), name


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("lora", {"batch_size": 10**9}, "batch_size is 1000000000; allowed: an integer >= 1 and <= 1000000"),
        (
            "lora",
            {"alpha": 2**63},
            "alpha is 9223372036854775808; allowed: an integer >= 1 and <= 92",
        ),
        ("adapter_parallel", {"scale": 10**40}, "allowed: a number <= 9223372036854775807"),
    ],
)
def test_numbers_that_no_machine_takes_are_refused_at_once(
    name: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        tuners.create(name, given)
    assert said in str(raised.value)
