"""What every method that adapts parameters keeps to; the regimes' own rows are in tests/tuning."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from icl.errors import ConfigError
from icl.protocols import tuners
from icl.tuning.shared.forward import token_logprobs
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import tokenised
from icl.tuning.shared.tuner import AdaptingTuner
from tests.tuning.planted import CONTEXT, RULE, TOKENIZER, fresh, planted, renderer_for, resources

POOL = planted(12)


def adapts(case: Any) -> bool:
    factory = tuners.entry(case.name).factory
    return isinstance(factory, type) and issubclass(factory, AdaptingTuner)


@torch.no_grad()
def asked(tuned: Any) -> torch.Tensor:
    """Log-probabilities of answers, whatever stands before the texts."""
    rows = tokenised(task_rows(POOL[:4], RULE, renderer_for(RULE)), TOKENIZER, CONTEXT).rows
    return torch.cat(token_logprobs(tuned.network, rows, tuned.root, "padded"))


def test_trained_and_made_again_of_its_state(tuner_case: Any) -> None:
    if not adapts(tuner_case):
        pytest.skip("a regime, or nothing that is trained")
    given = {**tuner_case.parameters, "steps": 3, "batch_size": 4, "learning_rate": 1e-2}
    tuner = tuners.create(tuner_case.name, given)
    tuned = tuner.fit(POOL, resources())
    assert not any(p.requires_grad for p in tuned.network.parameters())
    assert not tuned.network.training
    assert tuned.config["tuner"] == tuner_case.name
    for plain in (dict(tuned.config), dict(tuned.notes), tuned.cost.plain):
        json.dumps(plain, allow_nan=False)
    assert tuned.cost.trainable > 0
    assert tuned.cost.tokens >= tuned.cost.tokens_forwarded > 0
    assert all(t.device.type == "cpu" and not t.requires_grad for t in tuned.state.values())
    again = tuners.create(tuner_case.name, tuned.config["parameters"]).restore(tuned.state, fresh())
    assert torch.allclose(asked(again), asked(tuned), atol=1e-5)
    untouched = type("Untouched", (), {"network": fresh(), "root": None})
    assert (asked(tuned) - asked(untouched)).abs().max() > 1e-6, "something was learned"


def test_a_pool_that_cannot_teach_is_refused(tuner_case: Any) -> None:
    if not adapts(tuner_case):
        pytest.skip("a regime, or nothing that is trained")
    with pytest.raises(ConfigError, match="no rows to train on") as caught:
        tuner_case.build().fit([], resources())
    assert "\n" not in str(caught.value)
