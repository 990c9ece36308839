"""The probe lets exact engines through and catches every way of being wrong that it is told of."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.decoding.memory import StepAttention
from icl.engine.decoding.native import NativeStepAttention
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.probe import (
    compare,
    layer_calls,
    moving_positions,
    probe,
    probe_sequences,
    reach,
    unsupported,
    wrong_calls,
    wrong_trunk,
)
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import packed
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.hooked import HookedTrunk

from .tiny import CONTEXT, WINDOW, IntegerTokenizer, tiny_network, tiny_pair

Attend = Callable[[Tensor, Tensor, Tensor, LayerCall], Tensor]


class WrongTrunk(HookedTrunk):
    """A trunk that does one thing wrong."""

    def __init__(self, model: Any, change: Callable[[LayerCall], LayerCall], shift: int = 0) -> None:
        super().__init__(model)
        self.change = change
        self.shift = shift

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        def wrong(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
            return attend(q, k, v, self.change(call))

        return super().forward(tokens, positions + self.shift * (positions > 5), wrong)


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt-oss", "opt"])
def test_an_exact_engine_passes(family: str) -> None:
    pair = tiny_pair(family)
    engine = pair.trie(chunk_rows=33)
    report = probe(pair.network, engine)
    assert report.exact
    assert report.reason == ""
    assert report.difference < 1e-4 <= report.tolerance
    assert engine.chunk_rows == 33


WRONGS: dict[str, tuple[str, Callable[[LayerCall], LayerCall], int]] = {
    "window lost": ("mistral", lambda c: dataclasses.replace(c, window=None), 0),
    "window off by one": ("mistral", lambda c: dataclasses.replace(c, window=WINDOW + 1), 0),
    "softcap lost": ("gemma2", lambda c: dataclasses.replace(c, softcap=None), 0),
    "sinks lost": ("gpt-oss", lambda c: dataclasses.replace(c, sinks=None), 0),
    "scaling": ("llama", lambda c: dataclasses.replace(c, scaling=c.scaling * 1.1), 0),
    "positions": ("gpt2", lambda c: c, 1),
}


@pytest.mark.parametrize("what", list(WRONGS))
def test_a_wrong_engine_is_caught(what: str) -> None:
    family, change, shift = WRONGS[what]
    pair = tiny_pair(family)
    engine = pair.trie()
    engine.trunk = WrongTrunk(pair.network, change, shift)
    report = probe(pair.network, engine)
    assert not report.exact
    assert report.difference > 10 * report.tolerance
    assert "off a plain forward" in report.reason


def test_a_wrong_decode_step_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores are right, only the steps after the prompt are not."""
    pair = tiny_pair("llama")
    engine = pair.trie()
    forward = engine.trunk.forward

    def wrong(tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        decode = isinstance(attend, StepAttention | NativeStepAttention)
        return forward(tokens, positions + int(decode), attend)

    monkeypatch.setattr(engine.trunk, "forward", wrong)
    assert not probe(pair.network, engine).exact


def test_a_model_that_cannot_run_is_a_report() -> None:
    pair = tiny_pair("llama")

    class Broken(NaiveModel):
        def score(self, *_: Any, **__: Any) -> Any:
            raise TypeError("forward() got an unexpected keyword\nmore")

    broken = Broken(pair.network, IntegerTokenizer(), name="x", context_length=CONTEXT, fingerprint="x")
    report = probe(pair.network, broken)
    assert (report.exact, report.reason) == (False, "TypeError: forward() got an unexpected keyword")


def test_running_out_of_memory_is_no_report() -> None:
    pair = tiny_pair("llama")

    class Full(NaiveModel):
        def score(self, *_: Any, **__: Any) -> Any:
            raise torch.OutOfMemoryError("out of memory")

    full = Full(pair.network, IntegerTokenizer(), name="x", context_length=CONTEXT, fingerprint="x")
    with pytest.raises(torch.OutOfMemoryError):
        probe(pair.network, full)


def test_nan_is_caught() -> None:
    pair = tiny_pair("llama")
    engine = pair.trie()
    engine.trunk.logits = lambda hidden: torch.full((len(hidden), 113), torch.nan)  # type: ignore[method-assign]
    assert not probe(pair.network, engine).exact


@pytest.mark.parametrize("context_length", [8, 11, CONTEXT])
def test_probe_sequences_fit_the_context_and_branch(context_length: int) -> None:
    network = tiny_network("mistral")
    length, beyond = reach(network, context_length, ())
    some = probe_sequences(network, length)
    assert beyond == []
    assert max(map(len, some)) <= context_length - 3
    assert len(set(some)) == 3
    assert len({s[0] for s in some}) == 1
    if context_length == CONTEXT:
        assert max(map(len, some)) > WINDOW + 3
    engine = TrieModel(network, IntegerTokenizer(), name="x", context_length=context_length, fingerprint="x")
    assert probe(network, engine).exact


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gemma3", "gpt-oss", "smollm3", "gpt2"])
def test_layers_call_as_configured(family: str) -> None:
    network = tiny_network(family)
    calls = layer_calls(HookedTrunk(network))
    assert wrong_calls(network, calls) == ""
    assert "1 of its" in wrong_calls(network, calls[:1])
    assert "asks for a window of 5" in wrong_calls(
        tiny_network("gemma2"), [LayerCall(i, 1.0, window=5) for i in range(3)]
    )


@pytest.mark.skipif(not packed.available(torch.float32), reason="no packed weights in this build of torch")
@pytest.mark.parametrize(
    "family", ["llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3", "qwen3-moe"]
)
def test_a_fused_trunk_calls_as_the_model_does(family: str) -> None:
    """With a window too long for the comparison of logits to reach its edge."""
    changes = {} if family == "llama" else {"sliding_window": 80}
    if family.startswith("qwen"):
        changes |= {"use_sliding_window": True, "max_window_layers": 1}
    network = tiny_network(family, **changes)
    trunk = FusedTrunk(network)
    assert wrong_trunk(network, trunk) == ""
    if changes:
        lost = dataclasses.replace(trunk.blocks[-1].call, window=None)
        trunk.blocks[-1] = dataclasses.replace(trunk.blocks[-1], call=lost)
        last = len(trunk.blocks) - 1
        assert re.search(f"layer {last} .*asks for (a window of|window) None", wrong_trunk(network, trunk))
        engine = TrieModel(
            network, IntegerTokenizer(), name="x", context_length=CONTEXT, fingerprint="x", trunk=trunk
        )
        assert not probe(network, engine).exact


def test_unsupported_models_are_told_by_class_and_configuration() -> None:
    assert "does not use the attention interface" in unsupported(tiny_network("bloom"), CONTEXT)
    network = tiny_network("llama")
    assert unsupported(network, CONTEXT) == ""
    network.config.layer_types = ["full_attention", "chunked_attention"]
    assert unsupported(network, CONTEXT) == "it has layers of type chunked_attention"


def test_positions_that_move_with_the_call_are_told() -> None:
    dynamic = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    network = tiny_network("llama", rope_parameters=dynamic, max_position_embeddings=32)
    assert "(dynamic) depend on the longest position of the call beyond 32" in moving_positions(network, 64)
    assert moving_positions(network, 32) == ""
    assert unsupported(network, 64) == moving_positions(network, 64)
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    longrope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 16,
        **factors,
    }
    phi = tiny_network("phi3", rope_parameters=longrope, original_max_position_embeddings=16)
    assert "(longrope) depend on the longest position of the call beyond 16" in moving_positions(phi, CONTEXT)
    assert moving_positions(phi, 16) == ""
    static = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    assert moving_positions(tiny_network("llama", rope_parameters=static), 10**6) == ""


def test_the_reference_is_eager_and_the_setting_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = tiny_pair("llama")
    pair.network.set_attn_implementation("sdpa")
    seen = []
    plain = type(pair.network).forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(self.config._attn_implementation)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(type(pair.network), "forward", forward)
    assert probe(pair.network, pair.trie()).exact
    assert set(seen) == {"eager"}
    assert pair.network.config._attn_implementation == "sdpa"


def test_below_fp32_the_attention_a_model_was_loaded_with_counts_too() -> None:
    # Large biases of queries and keys, as Qwen2 has: eager attention rounds the scores, and is the outlier.
    network = tiny_network("qwen2", num_hidden_layers=4).to(torch.bfloat16)
    for layer in network.model.layers:
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            projection.bias.data += 8.0
    network.set_attn_implementation("sdpa")
    engine = TrieModel(network, IntegerTokenizer(), name="q", context_length=CONTEXT, fingerprint="f")
    network.set_attn_implementation("eager")
    against_eager, tolerance = compare(network, engine, probe_sequences(network, 12))
    assert against_eager > tolerance, "this case no longer shows the difference"
    network.set_attn_implementation("sdpa")
    report = probe(network, engine)
    assert report.exact, report.reason
    assert network.config._attn_implementation == "sdpa"


def test_below_fp32_a_wrong_engine_is_still_caught() -> None:
    network = tiny_network("qwen2").to(torch.bfloat16)
    network.set_attn_implementation("sdpa")
    common: dict[str, Any] = {"name": "q", "context_length": CONTEXT, "fingerprint": "f"}
    assert probe(network, TrieModel(network, IntegerTokenizer(), **common)).exact
    wrong = WrongTrunk(network, lambda call: call, shift=3)
    report = probe(network, TrieModel(network, IntegerTokenizer(), trunk=wrong, **common))
    assert not report.exact
    assert report.difference > report.tolerance
