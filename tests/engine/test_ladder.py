"""Which engine a model gets, and that every step down is said once."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig

from icl.engine.rungs import ladder
from icl.engine.rungs.depth_first import CachedDfsModel
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.probe import ProbeReport
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import packed
from icl.errors import ModelError
from icl.types import GenerateRequest, ScoreRequest

from .tiny import CONTEXT, VOCAB, IntegerTokenizer, largest_difference, ragged, tiny_network


def chosen(network: Any, **options: Any) -> Any:
    settings: dict[str, Any] = {"name": "tiny", "context_length": CONTEXT, "fingerprint": "f", **options}
    return choose_engine(network, IntegerTokenizer(), **settings)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and r.name == "icl"]


@pytest.fixture(autouse=True)
def _hear(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="icl")


def test_the_trie_engine_is_taken_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    engine = chosen(tiny_network("llama"), chunk_rows=9, max_slots=5)
    assert isinstance(engine, TrieModel)
    assert (engine.chunk_rows, engine.max_slots) == (9, 5)
    assert warnings(caplog) == []
    assert re.search("tiny runs on the (fused )?trie engine", caplog.text)
    assert engine.engine.removesuffix(", native kernels") in ("fused trie engine", "trie engine")


def test_without_the_attention_interface_depth_first(caplog: pytest.LogCaptureFixture) -> None:
    engine = chosen(tiny_network("bloom"), chunk_rows=9, max_slots=5)
    assert isinstance(engine, CachedDfsModel)
    assert engine.chunk_rows == 9
    assert engine.engine == "depth-first engine"
    [line] = warnings(caplog)
    assert line == (
        "tiny (bloom) cannot run on the trie engine: BloomForCausalLM does not use the attention interface "
        "of transformers; trying the depth-first engine: every shared prefix once, one text at a time over "
        "a key-value cache"
    )


def test_what_the_probe_refuses_falls_to_the_next(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ladder.probe

    def refuse(network: Any, candidate: Any) -> ProbeReport:
        if isinstance(candidate, TrieModel):
            return ProbeReport(False, "it is off")
        return honest(network, candidate)

    monkeypatch.setattr(ladder, "probe", refuse)
    assert isinstance(chosen(tiny_network("llama")), CachedDfsModel)
    assert [line.split(";")[0] for line in warnings(caplog)] == [
        "tiny (llama) cannot run on the trie engine: it is off"
    ]


def mamba() -> Any:
    torch.manual_seed(0)
    config = MambaConfig(
        vocab_size=VOCAB, hidden_size=16, state_size=4, num_hidden_layers=2, eos_token_id=1, pad_token_id=0
    )
    return AutoModelForCausalLM.from_config(config).eval()


def test_a_model_without_attention_shares_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    engine = chosen(mamba())
    assert isinstance(engine, NaiveModel)
    first, second = warnings(caplog)
    assert first.startswith("tiny (mamba) cannot run on the trie engine: ")
    assert second.startswith("tiny (mamba) cannot run on the depth-first engine: ")
    assert second.endswith("trying the naive engine: one plain forward a text, nothing shared")


def test_positions_that_move_with_the_call_share_nothing(caplog: pytest.LogCaptureFixture) -> None:
    settings = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    network = tiny_network("llama", rope_parameters=settings, max_position_embeddings=16)
    assert isinstance(chosen(network), NaiveModel)
    assert all("rotary positions (dynamic)" in line for line in warnings(caplog))
    assert isinstance(chosen(network, context_length=16), TrieModel)


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt-oss", "gpt2", "smollm3"])
def test_depth_first_is_exact_where_the_trie_engine_is_too(family: str) -> None:
    """Windows, softcap and sinks through a cache that is cut and grown again."""
    network = tiny_network(family)
    settings: dict[str, Any] = {"name": family, "context_length": CONTEXT, "fingerprint": "f"}
    naive = NaiveModel(network, IntegerTokenizer(), **settings)
    requests = [ScoreRequest(p, ((5, 6, 7), (8,))) for p in ragged(2)]
    asked = [GenerateRequest(p, n=2, max_tokens=6, temperature=1.0) for p in ragged(2)]
    for chunk_rows in (3, 64):
        engine = CachedDfsModel(network, IntegerTokenizer(), **settings, chunk_rows=chunk_rows)
        assert largest_difference(engine.score(requests), naive.score(requests)) < 1e-4
        found, expected = engine.generate(asked), naive.generate(asked)
        assert [[s.token_ids for s in g.samples] for g in found] == [
            [s.token_ids for s in g.samples] for g in expected
        ]


@pytest.mark.parametrize("family", ["falcon", "bloom", "gptj"])
def test_the_trie_engine_refuses_what_it_cannot_hook(family: str) -> None:
    """transformers only warns there, and the model would read a chunk as one text."""
    with pytest.raises(ModelError, match="does not use the attention interface"):
        TrieModel(
            tiny_network(family), IntegerTokenizer(), name=family, context_length=CONTEXT, fingerprint="f"
        )


def test_a_rung_that_cannot_be_made_is_a_step_down(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers without a plain weight, as quantised ones: whatever making an engine raises is a reason."""

    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("'QuantLinear' object has no attribute 'weight'\nmore")

    monkeypatch.setattr(ladder, "FusedTrunk", broken)
    monkeypatch.setattr(ladder, "TrieModel", broken)
    monkeypatch.setattr(ladder.fused, "against", lambda network: "")
    assert isinstance(chosen(tiny_network("llama")), CachedDfsModel)
    assert (
        "trie engine: AttributeError: 'QuantLinear' object has no attribute 'weight'; trying" in caplog.text
    )


def test_a_rung_that_memory_does_not_suffice_for_is_a_step_down(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no room for packed weights")

    monkeypatch.setattr(ladder, "FusedTrunk", full)
    engine = chosen(tiny_network("llama"))
    assert engine.engine.removesuffix(", native kernels") == "trie engine"
    if packed.available(torch.float32):
        assert (
            "there is not enough memory for it (OutOfMemoryError: no room for packed weights)" in caplog.text
        )


def test_within_the_constant_range_longrope_shares(caplog: pytest.LogCaptureFixture) -> None:
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    settings = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 48}
    network = tiny_network("phi3", rope_parameters=settings | factors, original_max_position_embeddings=48)
    assert isinstance(chosen(network), NaiveModel)
    engine = chosen(network, context_length=48)
    assert isinstance(engine, TrieModel)
    naive = NaiveModel(network, IntegerTokenizer(), name="n", context_length=48, fingerprint="f")
    asked = [ScoreRequest(p, ((5, 6, 7), (8,))) for p in ragged(2)]
    assert largest_difference(engine.score(asked), naive.score(asked)) < 1e-4
