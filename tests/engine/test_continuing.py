"""The plain engine writes what plain forwards give, whatever a network does with a cache."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from icl.engine.rungs.continuing import Cached, Forwarded, OwnState, difference
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.plain import plain_logits
from icl.errors import ModelError
from icl.types import GenerateRequest

from .tiny import CONTEXT, IntegerTokenizer, ragged, tiny_network
from .zoo import LENGTH, tiny_model

DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}


def naive(network: Any) -> NaiveModel:
    return NaiveModel(network, IntegerTokenizer(), name="n", context_length=LENGTH, fingerprint="f")


@pytest.mark.parametrize(
    ("family", "way"),
    [
        ("llama", Cached),
        ("mamba2", OwnState),
        ("rwkv", OwnState),
        ("minimax", OwnState),
        ("openai-gpt", Forwarded),
    ],
)
def test_the_way_that_is_right_is_taken(family: str, way: type) -> None:
    network = tiny_model(family)
    model = naive(network)
    assert model.way is way
    prompt = ragged(1)[0]
    [generation] = model.generate([GenerateRequest(prompt, max_tokens=5, ignore_eos=True)])
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(5):
            ids.append(int(plain_logits(network, ids)[-1].argmax()))
    assert list(generation.samples[0].token_ids) == ids[len(prompt) :]


def test_a_swallowed_cache_is_seen() -> None:
    """What goes on from the last token alone is far from the text."""
    network = tiny_model("mamba")
    with torch.inference_mode():
        gap, allowed = difference(network, Cached, ragged(1)[0], 4)
        assert gap > 100 * allowed
        gap, allowed = difference(network, OwnState, ragged(1)[0], 4)
        assert gap < allowed


def test_a_network_that_looks_ahead_is_no_oracle() -> None:
    network = tiny_model("bert")
    for layer in network.bert.encoder.layer:
        layer.attention.self.is_causal = False
    network.config.is_decoder = network.bert.config.is_decoder = False
    with pytest.raises(
        ModelError, match="BertLMHeadModel is not a causal language model as it is configured"
    ):
        choose_engine(network, IntegerTokenizer(), name="bert", context_length=LENGTH, fingerprint="f")


def test_a_network_that_draws_is_no_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network("llama")
    plain = type(network).forward

    def noisy(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = plain(self, *args, **kwargs)
        output.logits = output.logits + torch.rand_like(output.logits)
        return output

    monkeypatch.setattr(type(network), "forward", noisy)
    with pytest.raises(ModelError, match="gives other logits for the same text every time"):
        naive(network).check()


def test_a_long_text_leaves_nothing_behind() -> None:
    """transformers' dynamic rotary scaling remembers the longest text; a plain forward here does not."""
    network = tiny_network("llama", rope_parameters=DYNAMIC, max_position_embeddings=16)
    text = ragged(1, length=60)[0]
    with torch.inference_mode():
        alone = plain_logits(network, text[:30])
        plain_logits(network, text)
        assert torch.equal(plain_logits(network, text[:30]), alone)


def test_slow_writing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    network = tiny_network("llama", rope_parameters=DYNAMIC, max_position_embeddings=16)
    caplog.set_level(logging.WARNING, logger="icl")
    model = NaiveModel(network, IntegerTokenizer(), name="n", context_length=CONTEXT, fingerprint="f")
    assert model.way is Forwarded
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("n writes slowly, each token forwards the whole text again: its rotary positions")
