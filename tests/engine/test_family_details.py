"""Every family: the engine against one plain eager forward a sequence, and against `generate`.

The engine is the one that the ladder chooses; which one that must be is part of the test.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from icl.engine.rungs.depth_first import CachedDfsModel
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import fused, packed
from icl.engine.trunks.fused import FusedTrunk
from icl.types import GenerateRequest, Generation, ScoreRequest, TokenIds

from .tiny import CONTEXT, EOS, FALLBACK, FAMILIES, IntegerTokenizer, largest_difference, ragged, tiny_network

TOLERANCE = 1e-4
PROMPTS = ragged(seed=1)
CONTINUATIONS = ((5, 6, 7), (8,), (5, 6), (9, 10, 11, 12))
SCORED = [ScoreRequest(p, CONTINUATIONS) for p in PROMPTS] + [ScoreRequest(PROMPTS[1][:1], (PROMPTS[1][1:],))]
WRITTEN = 8
FORM = tuple(range(2, 60))
"""Ids that count as the form of a text."""


RUNS = [(family, False) for family in FAMILIES]
RUNS += [(f, True) for f, (kind, _) in FAMILIES.items() if kind in fused.FAMILIES]


@pytest.fixture(params=RUNS, ids=lambda run: run[0] + "-packed" * run[1], scope="module")
def run(request: pytest.FixtureRequest) -> tuple[str, bool]:
    """(family, on packed weights?): families with a fused decoder run both ways."""
    if request.param[1] and not packed.available(torch.float32):
        pytest.skip("this build of torch cannot pack weights for oneDNN")
    return request.param


@pytest.fixture(scope="module")
def family(run: tuple[str, bool]) -> str:
    return run[0]


@pytest.fixture(scope="module")
def packed_weights(run: tuple[str, bool]) -> bool:
    return run[1]


@pytest.fixture(scope="module")
def network(family: str) -> Any:
    return tiny_network(family)


def common(family: str) -> dict[str, Any]:
    return {"name": family, "context_length": CONTEXT, "fingerprint": family}


@pytest.fixture(scope="module")
def naive(family: str, network: Any) -> NaiveModel:
    return NaiveModel(network, IntegerTokenizer(), **common(family))


@pytest.fixture(scope="module")
def engine(family: str, network: Any, packed_weights: bool) -> TrieModel | CachedDfsModel:
    chosen = choose_engine(network, IntegerTokenizer(), **common(family))
    assert isinstance(chosen, CachedDfsModel if family in FALLBACK else TrieModel)
    if isinstance(chosen, TrieModel):
        assert isinstance(chosen.trunk, FusedTrunk) == fused.supports(network)
        if not packed_weights:
            return TrieModel(network, IntegerTokenizer(), **common(family))
        assert isinstance(chosen.trunk, FusedTrunk)
    return chosen


@pytest.fixture(scope="module")
def expected(naive: NaiveModel) -> list[Any]:
    return naive.score(SCORED)


@pytest.mark.parametrize("chunk_rows", [1, 7, 64])
def test_scores(engine: TrieModel | CachedDfsModel, expected: list[Any], chunk_rows: int) -> None:
    engine.chunk_rows = chunk_rows
    found = engine.score(SCORED)
    assert largest_difference(found, expected) < TOLERANCE
    forwarded = [(*p, *c[:-1]) for r in SCORED for p in [r.prompt] for c in r.continuations]
    unique = {s[:n] for s in forwarded for n in range(1, len(s) + 1)}
    assert sum(s.usage.tokens_unique for s in found) == len(unique)
    assert [s.usage.tokens_flat for s in found] == [s.usage.tokens_flat for s in expected]


def test_scores_do_not_depend_on_the_batch(engine: TrieModel | CachedDfsModel, expected: list[Any]) -> None:
    engine.chunk_rows = 7
    found = engine.score(SCORED[::-1])[::-1]
    assert largest_difference(found, expected) < TOLERANCE
    alone = [engine.score([r])[0] for r in SCORED[:3]]
    assert largest_difference(alone, expected[:3]) < TOLERANCE


def plain_generate(network: Any, prompt: TokenIds) -> TokenIds:
    ids = torch.tensor([list(prompt)])
    out = network.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=WRITTEN, do_sample=False
    )
    return tuple(out[0, len(prompt) :].tolist())


def token_ids(generations: Sequence[Generation]) -> list[list[TokenIds]]:
    return [[s.token_ids for s in g.samples] for g in generations]


def assert_same(found: Sequence[Generation], expected: Sequence[Generation]) -> None:
    assert token_ids(found) == token_ids(expected)
    for a, b in zip(found, expected, strict=True):
        assert [s.stop_reason for s in a.samples] == [s.stop_reason for s in b.samples]
        for x, y in zip(a.samples, b.samples, strict=True):
            assert x.text == y.text
            assert x.logprobs == pytest.approx(y.logprobs, abs=TOLERANCE)


@pytest.mark.parametrize("max_slots", [1, 3, 64])
def test_greedy_is_naive_and_plain_generate(
    engine: TrieModel | CachedDfsModel, naive: NaiveModel, network: Any, max_slots: int
) -> None:
    engine.chunk_rows = 7
    if isinstance(engine, TrieModel):
        engine.max_slots = max_slots
    requests = [GenerateRequest(p, max_tokens=WRITTEN) for p in PROMPTS]
    found = engine.generate(requests)
    assert token_ids(found) == [[plain_generate(network, p)] for p in PROMPTS]
    assert_same(found, naive.generate(requests))


@pytest.mark.parametrize("max_slots", [2, 64])
def test_sampled_is_naive(
    engine: TrieModel | CachedDfsModel, naive: NaiveModel, network: Any, max_slots: int
) -> None:
    """The same streams; n samples forked from one prompt; truncation, n-gram bans, penalties on the way."""
    engine.chunk_rows = 64
    if isinstance(engine, TrieModel):
        engine.max_slots = max_slots
    requests = [
        GenerateRequest(PROMPTS[0], n=4, max_tokens=WRITTEN, temperature=1.0, seed=3, ignore_eos=True),
        GenerateRequest(PROMPTS[1], n=3, max_tokens=12, temperature=0.7, top_p=0.9, seed=4),
        GenerateRequest(PROMPTS[1], n=2, max_tokens=5, temperature=1.3, top_k=5, seed=4, first_sample=3),
        GenerateRequest(PROMPTS[2], max_tokens=WRITTEN, temperature=1.0, no_repeat_ngram=2, ignore_eos=True),
        GenerateRequest(
            PROMPTS[2], n=2, max_tokens=12, temperature=2.0, no_repeat_ngram=2, template_ids=FORM
        ),
        GenerateRequest(
            PROMPTS[0], n=2, max_tokens=WRITTEN, temperature=0.8, presence_penalty=1.5, ignore_eos=True
        ),
        GenerateRequest(PROMPTS[1], max_tokens=WRITTEN, frequency_penalty=2.0, ignore_eos=True),
    ]
    found = engine.generate(requests)
    assert_same(found, naive.generate(requests))
    samples = [s.token_ids for s in found[0].samples]
    assert all(a != b for a, b in itertools.combinations(samples, 2))


def test_the_end_of_sequence_token_ends_a_sample(
    engine: TrieModel | CachedDfsModel, naive: NaiveModel
) -> None:
    """At high temperature some of many samples draw it, at different steps."""
    requests = [GenerateRequest(p, n=12, max_tokens=24, temperature=3.0, seed=5) for p in PROMPTS[:2]]
    found = engine.generate(requests)
    reasons = {s.stop_reason for g in found for s in g.samples}
    assert reasons == {"eos", "length"}
    assert_same(found, naive.generate(requests))
    for generation in found:
        for sample in generation.samples:
            assert (sample.stop_reason == "eos") == (EOS in sample.token_ids)
            assert EOS not in sample.token_ids[:-1]
