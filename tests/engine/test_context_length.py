"""`context_length`: how long a text may be, said by whoever loads the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

import icl
from icl.engine.loading.sources import agreed_context
from icl.errors import ConfigError, ContextOverflow
from icl.experiments.asking.models import check_models, open_tokenizer
from icl.experiments.file.config import read_experiment
from icl.types import ScoreRequest

from .tiny import CONTEXT, tiny_network

EXPERIMENT: dict[str, Any] = {
    "name": "short",
    "model": "fake",
    "task": "questions",
    "grid": {"selector": ["random"], "shots": [1]},
}


def test_less_than_the_configuration_allows_is_agreed_to(tmp_path: Path) -> None:
    tiny_network("llama").config.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert agreed_context(config, None, "tiny") == CONTEXT
    assert agreed_context(config, CONTEXT, "tiny") == CONTEXT
    assert agreed_context(config, 40, "tiny") == 40
    with pytest.raises(
        ConfigError, match=rf"context_length is {CONTEXT + 1}; tiny takes at most {CONTEXT} tokens"
    ):
        agreed_context(config, CONTEXT + 1, "tiny")


@pytest.mark.parametrize("wrong", [0, -1, 7, 12.5, "64", True])
def test_what_is_no_length_is_refused_before_anything_loads(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"context_length is .*; allowed: a whole number from 8"):
        icl.load_model("no-such-model", context_length=wrong)
    with pytest.raises(ConfigError, match="context_length"):
        read_experiment({**EXPERIMENT, "context_length": wrong})


def test_an_experiment_says_it() -> None:
    experiment, source = read_experiment({**EXPERIMENT, "context_length": 64})
    check_models(experiment, source)
    assert open_tokenizer(experiment).context_length == 64
    model = icl.load_model("fake", context_length=64)
    with pytest.raises(ContextOverflow):
        model.score([ScoreRequest("x" * 70, ("a", "b"))])


def test_a_backend_has_options_of_its_own() -> None:
    changed = {**EXPERIMENT, "model": {"fake": {}}, "context_length": 64}
    with pytest.raises(ConfigError, match="context_length: a backend takes it among its options"):
        check_models(*read_experiment(changed))
