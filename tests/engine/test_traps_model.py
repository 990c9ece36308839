"""Traps 4 to 9 and 13 of the engine: what a model's own forward does that an engine may forget.

Where a trap is a forgotten term, a control shows that forgetting it moves the scores by far more
than the tolerance, so that the comparison is one that can fail.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from icl.engine.attention.dense import apply_sinks
from icl.engine.decoding.memory import merged
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.errors import ContextOverflow
from icl.types import GenerateRequest, Generation, ScoreRequest

from .tiny import (
    CONTEXT,
    VOCAB,
    WINDOW,
    IntegerTokenizer,
    largest_difference,
    ragged,
    tiny_network,
    tiny_pair,
)

TOLERANCE = 1e-4
LONG = ragged(seed=4, length=40)
SCORED = [ScoreRequest(p[:2], (p[2:],)) for p in LONG if len(p) > 3]


def settings(name: str = "tiny", context_length: int = CONTEXT) -> dict[str, Any]:
    return {"name": name, "context_length": context_length, "fingerprint": "f"}


def naive_scores(family: str, **changes: Any) -> list[Any]:
    return NaiveModel(tiny_network(family, **changes), IntegerTokenizer(), **settings()).score(SCORED)


def drawn(generations: list[Generation]) -> list[list[tuple[int, ...]]]:
    return [[s.token_ids for s in g.samples] for g in generations]


def assert_exact(family: str, **changes: Any) -> list[Any]:
    """The engine is exact on long texts, scored in chunks of any size and continued; the scores."""
    pair = tiny_pair(family, **changes)
    expected = pair.naive.score(SCORED)
    for chunk_rows in (1, 7, 64):
        assert largest_difference(pair.trie(chunk_rows=chunk_rows).score(SCORED), expected) < TOLERANCE
    asked = [GenerateRequest(p, n=2, max_tokens=14, temperature=1.0, ignore_eos=True) for p in LONG]
    assert drawn(pair.trie(max_slots=5).generate(asked)) == drawn(pair.naive.generate(asked))
    return expected


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_trap_04_the_reference_is_plain_transformers_alone(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sequence a call, no padding, no mask; its sum is the loss that transformers reports."""
    pair = tiny_pair(family)
    calls: list[tuple[tuple[int, ...], set[str]]] = []
    plain = type(pair.network).forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append((tuple(kwargs["input_ids"].shape), set(kwargs)))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(type(pair.network), "forward", forward)
    found = pair.naive.score([ScoreRequest(LONG[0][:1], (LONG[0][1:],))])
    assert calls == [((1, len(LONG[0]) - 1), {"input_ids", "use_cache"})]
    ids = torch.tensor([list(LONG[0])])
    with torch.inference_mode():
        loss = pair.network(input_ids=ids, labels=ids).loss
    assert found[0].logprobs[0] == pytest.approx(-float(loss) * (len(LONG[0]) - 1), rel=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "bloom"])
def test_trap_05_at_the_position_limit(family: str) -> None:
    """Exact at the limit and one below, an error that names the request one above, never a cut."""
    limit = 32
    changes: dict[str, Any] = {"gpt2": {"n_positions": limit}, "bloom": {}}.get(
        family, {"max_position_embeddings": limit}
    )
    network = tiny_network(family, **changes)
    naive = NaiveModel(network, IntegerTokenizer(), **settings(context_length=limit))
    engine = choose_engine(network, IntegerTokenizer(), **settings(context_length=limit))
    text = tuple(range(3, 3 + limit + 1))
    short = ScoreRequest(text[:2], (text[2:4],))
    for length in (limit - 1, limit):
        asked = [short, ScoreRequest(text[: length - 2], (text[length - 2 : length], (5,)))]
        assert largest_difference(engine.score(asked), naive.score(asked)) < TOLERANCE
        continued = [GenerateRequest(text[: length - 4], max_tokens=4, ignore_eos=True)]
        found = engine.generate(continued)
        assert drawn(found) == drawn(naive.generate(continued))
        assert len(found[0].samples[0].token_ids) == 4
    for model in (engine, naive):
        with pytest.raises(ContextOverflow, match=rf"request 1 has {limit + 1} tokens.*holds {limit}"):
            model.score([short, ScoreRequest(text[:-2], ((5,), text[-2:]))])
        with pytest.raises(ContextOverflow, match=rf"request 1 has {limit + 1} tokens.*holds {limit}"):
            model.generate(
                [GenerateRequest(text[:3], max_tokens=2), GenerateRequest(text[:-4], max_tokens=4)]
            )


DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
}


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"rope_parameters": DYNAMIC, "max_position_embeddings": 16}),
        ("phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 16}),
    ],
)
def test_trap_06_positions_that_depend_on_the_longest_text(family: str, changes: dict[str, Any]) -> None:
    """A short text scores the same alone and beside a long one; the trie engine could not do that."""
    network = tiny_network(family, **changes)
    naive = NaiveModel(network, IntegerTokenizer(), **settings())
    engine = choose_engine(network, IntegerTokenizer(), **settings())
    short = ScoreRequest(LONG[0][:4], (LONG[0][4:10],))
    long = ScoreRequest(LONG[0][:4], (LONG[0][4:],))
    alone = naive.score([short])
    assert largest_difference(engine.score([long, short])[1:], alone) < TOLERANCE
    shared = TrieModel(network, IntegerTokenizer(), **settings()).score([long, short])[1:]
    assert largest_difference(shared, alone) > 100 * TOLERANCE


@pytest.mark.parametrize("family", ["mistral", "gemma3", "gpt-oss", "qwen2"])
def test_trap_07_sliding_windows_far_past_their_edge(family: str) -> None:
    changes: dict[str, Any] = (
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
        if family == "qwen2"
        else {}
    )
    expected = assert_exact(family, **changes)
    assert max(len(p) for p in LONG) > 4 * WINDOW
    wide = {**changes, "sliding_window": CONTEXT}
    assert largest_difference(naive_scores(family, **wide), expected) > 100 * TOLERANCE


def test_trap_07_the_same_on_packed_weights() -> None:
    network = tiny_network("mistral")
    naive = NaiveModel(network, IntegerTokenizer(), **settings())
    engine = choose_engine(network, IntegerTokenizer(), **settings(), chunk_rows=7)
    assert largest_difference(engine.score(SCORED), naive.score(SCORED)) < TOLERANCE


def test_trap_08_softcap_against_eager() -> None:
    """Scores and logits are both capped; transformers' other attentions cannot cap scores."""
    assert tiny_network("gemma2").config._attn_implementation == "eager"
    expected = assert_exact("gemma2")
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        assert largest_difference(naive_scores("gemma2", **{cap: None}), expected) > 100 * TOLERANCE


def test_trap_09_sinks_in_the_whole_engine() -> None:
    expected = assert_exact("gpt-oss")
    network = tiny_network("gpt-oss")
    for layer in network.model.layers:
        layer.self_attn.sinks.data.fill_(-1e9)
    without = NaiveModel(network, IntegerTokenizer(), **settings()).score(SCORED)
    assert largest_difference(without, expected) > 100 * TOLERANCE


def test_trap_09_sinks_after_merging_parts() -> None:
    """Against a softmax with one more column, whose value is nought."""
    draw = torch.Generator().manual_seed(0)
    heads, rows, size = 3, 4, 5
    scores = torch.randn(heads, rows, 10, generator=draw, dtype=torch.float64) * 3
    values = torch.randn(heads, 10, size, generator=draw, dtype=torch.float64)
    sinks = torch.randn(heads, generator=draw, dtype=torch.float64) * 3
    column = sinks[:, None, None].expand(heads, rows, 1)
    expected = torch.softmax(torch.cat([scores, column], dim=-1), dim=-1)[..., :10] @ values
    outs, lses = [], []
    for part in (slice(0, 3), slice(3, 4), slice(4, 10)):
        weights = torch.softmax(scores[..., part], dim=-1)
        outs.append((weights @ values[:, part]).float())
        lses.append(torch.logsumexp(scores[..., part], -1).float())
    out, lse = merged(torch.stack(outs), torch.stack(lses))
    assert (apply_sinks(out, lse, sinks.float()) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_trap_13_tied_and_resized_heads(family: str, tied: bool) -> None:
    network = tiny_network(family, tie_word_embeddings=tied)
    head, table = network.get_output_embeddings(), network.get_input_embeddings()
    assert (head.weight is table.weight) == tied
    torch.manual_seed(0)
    network.resize_token_embeddings(VOCAB + 7, mean_resizing=False)
    assert len(network.get_output_embeddings().weight) == VOCAB + 7
    naive = NaiveModel(network, IntegerTokenizer(), **settings())
    engine = choose_engine(network, IntegerTokenizer(), **settings())
    assert isinstance(engine, TrieModel)
    asked = [*SCORED, ScoreRequest((5, VOCAB + 6), ((VOCAB + 3, VOCAB), (7,)))]
    assert largest_difference(engine.score(asked), naive.score(asked)) < TOLERANCE
