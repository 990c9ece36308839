"""The option under which a result is the same to the last bit, whatever else is asked with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from icl.engine.loading.load import load_model
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import packed
from icl.engine.trunks.fused import FusedTrunk
from icl.errors import ConfigError
from icl.types import GenerateRequest, ScoreRequest, TokenIds

from .tiny import CONTEXT, VOCAB, IntegerTokenizer, largest_difference, ragged, tiny_network, tiny_pair


def invariant(network: Any, **options: Any) -> TrieModel:
    return TrieModel(
        network,
        IntegerTokenizer(),
        name="x",
        context_length=CONTEXT,
        fingerprint="x",
        batch_invariant=True,
        **options,
    )


def draws(prompts: Sequence[TokenIds]) -> list[GenerateRequest]:
    return [
        GenerateRequest(p, n=1 + i % 3, max_tokens=6 + i % 4, temperature=0.8, seed=3, ignore_eos=True)
        for i, p in enumerate(prompts)
    ]


def check_alone_and_together(model: Any, prompts: Sequence[TokenIds], asks: list[GenerateRequest]) -> None:
    """Samples with their log-probabilities, and scores: one by one, all at once, reversed, in sevens."""
    for ask, requests in (
        (model.generate, asks),
        (model.score, [ScoreRequest(p[: len(p) // 2], (p[len(p) // 2 :], (5, 7))) for p in prompts]),
    ):

        def bare(result: Any) -> Any:
            return result.samples if hasattr(result, "samples") else result.token_logprobs

        alone = [bare(ask([r])[0]) for r in requests]
        assert [bare(r) for r in ask(requests)] == alone
        assert [bare(r) for r in ask(requests[::-1])][::-1] == alone
        sevens = [r for low in range(0, len(requests), 7) for r in ask(requests[low : low + 7])]
        assert [bare(r) for r in sevens] == alone


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3"])
def test_the_batch_changes_no_bit(family: str, dtype: torch.dtype) -> None:
    prompts = ragged(4, count=10, length=40)
    model = invariant(tiny_network(family).to(dtype))
    check_alone_and_together(model, prompts, draws(prompts))


def test_on_packed_weights_too() -> None:
    if not packed.available(torch.float32):
        pytest.skip("no packed products here")
    network = tiny_network("llama")
    prompts = ragged(6, count=9, length=50)
    check_alone_and_together(invariant(network, trunk=FusedTrunk(network)), prompts, draws(prompts))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3", "gpt-neox"])
def test_it_is_as_exact_as_ever(family: str) -> None:
    pair = tiny_pair(family)
    model = invariant(pair.network)
    prompts = ragged(8, count=8, length=60)
    asks = [ScoreRequest(p[:2], (p[2:],)) for p in prompts if len(p) > 2]
    assert largest_difference(model.score(asks), pair.naive.score(asks)) < 1e-4
    greedy = [GenerateRequest(p, max_tokens=5, ignore_eos=True) for p in prompts]
    for a, b in zip(model.generate(greedy), pair.naive.generate(greedy), strict=True):
        assert a.samples[0].token_ids == b.samples[0].token_ids
        assert a.samples[0].logprobs == pytest.approx(b.samples[0].logprobs, abs=1e-4)
    assert model.engine.removesuffix(", native kernels") == "trie engine, batch-invariant"
    assert max(max(p) for p in prompts) < VOCAB


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_the_embedded_model(embedded: str, dtype: str) -> None:
    model = load_model(embedded, dtype=dtype, batch_invariant=True)
    assert "batch-invariant" in model.engine  # type: ignore[attr-defined]
    assert model.fingerprint.endswith("-invariant")
    prompts = [f"Q: What is {i} and {i * 7 % 5}?\nA:" for i in range(3)]
    asks = [GenerateRequest(p, n=2, max_tokens=4, temperature=1.0, top_p=0.9) for p in prompts]
    alone = [model.generate([ask])[0].samples for ask in asks]
    assert [g.samples for g in model.generate(asks)] == alone
    scores = [ScoreRequest(p, (" one", " two or three")) for p in prompts]
    apart = [model.score([ask])[0].token_logprobs for ask in scores]
    assert [s.token_logprobs for s in model.score(scores)] == apart


def test_a_mixture_of_experts_is_stepped_down_from(caplog: pytest.LogCaptureFixture) -> None:
    """Its rows are grouped by expert, so a product's shape depends on the batch."""
    network = tiny_network("gpt-oss")
    common: dict[str, Any] = {"name": "x", "context_length": CONTEXT, "fingerprint": "x"}
    with caplog.at_level(logging.INFO, logger="icl"):
        model = choose_engine(network, IntegerTokenizer(), batch_invariant=True, **common)
    prompts = ragged(4, count=6, length=30)
    check_alone_and_together(model, prompts, draws(prompts))
    assert "depends on the others" in caplog.text or "batch-invariant" in model.engine  # type: ignore[attr-defined]


def test_it_is_for_cpu_only(embedded: str) -> None:
    with pytest.raises(ConfigError, match="batch_invariant works on CPU, not on meta"):
        load_model(embedded, device="meta", batch_invariant=True)
