"""Lengths at which attention may change: found in any configuration, crossed, or the rung refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPTNeoConfig, LlamaConfig, Mamba2Config, PretrainedConfig

from icl.engine.rungs import probe as probing
from icl.engine.rungs.depth_first import CachedDfsModel
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.lengths import AT_MOST, affordable, lengths
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.probe import known_lengths, probe, reach
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks.hooked import HookedTrunk
from icl.types import ScoreRequest

from .tiny import CONTEXT, IntegerTokenizer, largest_difference, ragged, tiny_network
from .zoo import LENGTH, tiny_model


def found(config: Any, context_length: int = 10**6) -> dict[str, bool]:
    """Key -> is it named, of the lengths of a configuration."""
    network = SimpleNamespace(config=config)
    return {length.key: length.named for length in lengths(network, context_length)}


def test_lengths_are_told_by_what_keys_say() -> None:
    class Odd(PretrainedConfig):  # type: ignore[misc]
        model_type = "odd"

    config = Odd(
        hidden_size=64, num_local_experts=8, topk_group=4, local_span=33, attention_chunk=70, weird=41,
        nested={"sparse_block_size": 50, "head_dim": 16}, window_sizes=[90, 91], max_window_layers=28,
    )  # fmt: skip
    named = {"local_span", "attention_chunk", "nested.sparse_block_size", "window_sizes"}
    told = found(config)
    assert {key for key, is_named in told.items() if is_named} == named
    assert told["weird"] is False
    assert not {"hidden_size", "num_local_experts", "nested.head_dim", "max_window_layers"} & set(told)
    assert "attention_chunk" not in found(config, context_length=70)


@pytest.mark.parametrize(("kind", "counts"), [("yarn", False), ("llama3", False), ("of tomorrow", True)])
def test_the_length_of_a_static_rotary_scaling_is_none(kind: str, counts: bool) -> None:
    config = LlamaConfig()
    config.rope_parameters = {"rope_type": kind, "original_max_position_embeddings": 300}
    assert ("rope_parameters.original_max_position_embeddings" in found(config)) == counts


def test_real_families() -> None:
    assert found(GPTNeoConfig())["window_size"]
    assert found(Mamba2Config())["chunk_size"]
    assert found(LlamaConfig()) == {}


class Forgets(HookedTrunk):
    """A trunk that knows of no window."""

    @property
    def windows(self) -> dict[int, int | None]:
        return dict.fromkeys(super().windows)


def test_a_window_that_only_the_mask_knows_is_kept() -> None:
    """PhiMoE: neither its layers nor its attention's arguments tell of it."""
    from transformers import AutoModelForCausalLM

    config = tiny_model("phimoe").config
    config.sliding_window = 70
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    common: dict[str, Any] = {"name": "p", "context_length": LENGTH, "fingerprint": "f"}
    engine = choose_engine(network, IntegerTokenizer(), **common)
    assert isinstance(engine, TrieModel)
    assert set(engine.trunk.windows.values()) == {70}  # type: ignore[attr-defined]
    naive = NaiveModel(network, IntegerTokenizer(), **common)
    texts = [text for text in ragged(3, count=4, length=90) if len(text) > 72]
    asked = [ScoreRequest(t[:-4], (t[-4:],)) for t in texts]
    assert largest_difference(engine.score(asked), naive.score(asked)) < 1e-4
    forgetful = TrieModel(network, IntegerTokenizer(), trunk=Forgets(network), **common)
    report = probe(network, forgetful)
    assert not report.exact
    assert "on texts of 82 tokens" in report.reason


def test_a_length_that_is_too_dear_refuses_the_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local attention of a network whose masks transformers does not make: nothing but a comparison tells."""
    network = tiny_model("gpt_neo")
    common: dict[str, Any] = {"name": "n", "context_length": LENGTH, "fingerprint": "f"}
    assert reach(network, LENGTH, ())[1] == []
    monkeypatch.setattr(probing, "AT_MOST", {"cpu": 1e6, "cuda": 1e6})
    monkeypatch.setattr(probing, "AT_ONCE", {"cpu": 1e6, "cuda": 1e6})
    report = probe(network, CachedDfsModel(network, IntegerTokenizer(), **common))
    assert not report.exact
    assert "may change beyond 20 tokens (window_size)" in report.reason
    assert isinstance(choose_engine(network, IntegerTokenizer(), **common), NaiveModel)
    short = choose_engine(network, IntegerTokenizer(), **{**common, "context_length": 20})
    assert isinstance(short, CachedDfsModel)


def test_what_masks_announce_need_not_be_crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network("mistral", sliding_window=80)
    monkeypatch.setattr(probing, "AT_MOST", {"cpu": 1e6, "cuda": 1e6})
    monkeypatch.setattr(probing, "AT_ONCE", {"cpu": 1e6, "cuda": 1e6})
    assert known_lengths(network, None) == known_lengths(network, HookedTrunk(network)) == {80}
    assert reach(network, CONTEXT, {80}) == (12, [])
    assert [length.value for length in reach(network, CONTEXT, ())[1]] == [80]


def test_what_crossing_costs() -> None:
    network = tiny_network("llama")
    assert affordable(network, 1000, AT_MOST)
    assert not affordable(network, 100_000, AT_MOST), "the scores of an eager forward would fill the memory"
    assert not affordable(network, 1000, {"cpu": 1e6})


def test_a_model_of_many_masks_without_windows() -> None:
    """Qwen2-MoE makes a mask for sliding layers even where it has none."""
    network = tiny_model("qwen2_moe")
    windows = HookedTrunk(network).windows
    kinds = network.config.layer_types
    assert [windows[i] for i in range(len(kinds))] == [
        network.config.sliding_window if kind == "sliding_attention" else None for kind in kinds
    ]
    with torch.inference_mode():
        assert network.config._attn_implementation == "eager"
