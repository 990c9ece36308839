"""Traps 10 to 12, 14, 15 and 17 of the engine: numbers that merge, break, move or stay behind."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import plain_attention
from icl.engine.decoding.memory import merged
from icl.engine.rungs.depth_first import CachedDfsModel
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.probe import attending
from icl.engine.rungs.trie_model import TrieModel
from icl.errors import ModelError
from icl.types import GenerateRequest, Generation, ScoreRequest, TokenIds

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


def settings() -> dict[str, Any]:
    return {"name": "tiny", "context_length": CONTEXT, "fingerprint": "f"}


def drawn(generations: list[Generation]) -> list[list[TokenIds]]:
    return [[s.token_ids for s in g.samples] for g in generations]


def test_trap_10_no_keys_weigh_nothing() -> None:
    q, k, v = (torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    seen = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    part, part_lse = plain_attention(q, k, v, seen, LayerCall(0, 0.5))
    assert torch.equal(part[:, 1], torch.zeros(2, 4))
    assert torch.equal(part_lse[:, 1], torch.full((2,), -torch.inf))
    assert torch.allclose(part[:, 2], v[:, 0], atol=1e-6)

    nothing, never = torch.zeros(2, 3, 4), torch.full((2, 3), -torch.inf)
    out, lse = merged(torch.stack([nothing, part, nothing]), torch.stack([never, part_lse, never]))
    assert torch.allclose(out, part)
    assert torch.equal(lse, part_lse)


def test_trap_10_a_shared_prefix_that_has_left_every_window() -> None:
    """Each sample's window holds only its own tail: the prompt's shared node is an empty set of keys."""
    pair = tiny_pair("mistral")
    prompt = ragged(6, length=30)[0]
    asked = [GenerateRequest(prompt, n=3, max_tokens=3 * WINDOW, temperature=1.0, ignore_eos=True)]
    assert drawn(pair.trie().generate(asked)) == drawn(pair.naive.generate(asked))


def deep(levels: int) -> list[TokenIds]:
    """A chain of `levels` branches, one at every depth."""
    stem = torch.randint(3, VOCAB, (levels,), generator=torch.Generator().manual_seed(8)).tolist()
    return [(*stem[:n], 3 + (stem[n] - 2) % (VOCAB - 3), 3 + n) for n in range(levels)]


@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_trap_11_a_trie_fifty_branches_deep(family: str) -> None:
    pair = tiny_pair(family)
    prompts = deep(50)
    scored = [ScoreRequest(p, ((5, 6), (7,))) for p in prompts]
    expected = pair.naive.score(scored)
    for chunk_rows in (3, 50, 512):
        assert largest_difference(pair.trie(chunk_rows=chunk_rows).score(scored), expected) < TOLERANCE
    # two samples a prompt: every one of the fifty nodes is stored once and merged
    asked = [GenerateRequest(p, n=2, max_tokens=4, temperature=1.0, ignore_eos=True) for p in prompts]
    found, plain = pair.trie(chunk_rows=64).generate(asked), pair.naive.generate(asked)
    assert drawn(found) == drawn(plain)
    for a, b in zip(found, plain, strict=True):
        for x, y in zip(a.samples, b.samples, strict=True):
            assert x.logprobs == pytest.approx(y.logprobs, abs=TOLERANCE)


def test_trap_11_parts_are_merged_in_fp32() -> None:
    """Fifty parts of bf16 keys and values against float64 over all of them at once."""
    draw = torch.Generator().manual_seed(0)
    q = torch.randn(4, 6, 8, generator=draw).bfloat16()
    k, v = (torch.randn(2, 200, 8, generator=draw).bfloat16() for _ in range(2))
    call = LayerCall(0, 1.0)
    parts = []
    for low in range(0, 200, 4):
        seen = torch.ones(6, 4, dtype=torch.bool)
        part, part_lse = plain_attention(q, k[:, low : low + 4], v[:, low : low + 4], seen, call)
        assert part.dtype == part_lse.dtype == torch.float32
        parts.append((part, part_lse))
    out, _ = merged(torch.stack([p for p, _ in parts]), torch.stack([lse for _, lse in parts]))
    keys, values = (x.double().repeat_interleave(2, dim=0) for x in (k, v))
    expected = torch.softmax(q.double() @ keys.transpose(1, 2), dim=-1) @ values
    assert (out - expected).abs().max() < 1e-5


def poisoned(family: str, value: float) -> Any:
    """A network that breaks on every text with token 7 in it, and on no other."""
    network = tiny_network(family)
    with torch.no_grad():
        network.get_input_embeddings().weight[7] = value
    return network


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("engine", [TrieModel, CachedDfsModel, NaiveModel])
def test_trap_12_a_broken_number_names_its_request(engine: Any, value: float) -> None:
    model = engine(poisoned("llama", value), IntegerTokenizer(), **settings())
    good, bad = ScoreRequest((3, 4), ((5, 6),)), ScoreRequest((3, 7), ((5, 6),))
    assert len(model.score([good, good])) == 2
    with pytest.raises(ModelError, match=r"score request 2: .*the weights are damaged"):
        model.score([good, good, bad, good])
    which = "1" if engine is TrieModel else r"with the prompt \(3, 7\)"
    with pytest.raises(ModelError, match=f"generate request {which}: its logits are not finite"):
        model.generate([GenerateRequest((3, 4), max_tokens=2), GenerateRequest((3, 7), max_tokens=2)])


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt-oss"])
def test_trap_14_the_batch_does_not_matter(family: str) -> None:
    """Alone, shuffled, in other chunks, beside other requests, in other slots."""
    pair = tiny_pair(family)
    prompts = ragged(7, count=12)
    scored = [ScoreRequest(p, ((5, 6, 7), (8,), (5, 9))) for p in prompts]
    asked = [
        GenerateRequest(p, n=1 + i % 3, max_tokens=6, temperature=float(i % 2), seed=i)
        for i, p in enumerate(prompts)
    ]
    together = pair.trie(chunk_rows=512).score(scored)
    written = drawn(pair.trie(max_slots=64).generate(asked))
    shuffled = list(range(len(prompts)))
    random.Random(0).shuffle(shuffled)
    for chunk_rows, max_slots in ((5, 1), (23, 4), (64, 7)):
        engine = pair.trie(chunk_rows=chunk_rows, max_slots=max_slots)
        found = engine.score([scored[i] for i in shuffled])
        assert largest_difference(found, [together[i] for i in shuffled]) < TOLERANCE
        assert drawn(engine.generate([asked[i] for i in shuffled])) == [written[i] for i in shuffled]
    for i in range(0, len(prompts), 4):
        assert largest_difference(pair.trie().score([scored[i]]), [together[i]]) < TOLERANCE
        assert drawn(pair.trie().generate([asked[i]])) == [written[i]]


def test_trap_14_in_bf16_the_engine_is_as_near_as_a_plain_forward() -> None:
    """What rounding does to one-by-one bf16 bounds what it may do to the engine; argmax flips too."""
    scored = [ScoreRequest(p, tuple((t,) for t in range(3, VOCAB))) for p in ragged(9, count=10)]
    exact = tiny_pair("llama").naive.score(scored)
    network = tiny_network("llama").bfloat16()
    plain = NaiveModel(network, IntegerTokenizer(), **settings()).score(scored)
    found = TrieModel(network, IntegerTokenizer(), **settings(), chunk_rows=17).score(scored)

    def flips(some: list[Any]) -> int:
        best = [max(range(len(s.logprobs)), key=s.logprobs.__getitem__) for s in some]
        right = [max(range(len(s.logprobs)), key=s.logprobs.__getitem__) for s in exact]
        return sum(a != b for a, b in zip(best, right, strict=True))

    assert largest_difference(found, exact) < 2 * largest_difference(plain, exact)
    assert flips(found) <= flips(plain) + 1


def test_trap_15_duplicates_and_prefixes_of_one_another() -> None:
    pair = tiny_pair("llama")
    base = ragged(10)[0]
    scored = [
        ScoreRequest(base, ((5, 6), (5, 6), (5,))),
        ScoreRequest(base[:6], (base[6:9], (5,))),
        ScoreRequest(base, ((5, 6), (5, 6), (5,))),
        ScoreRequest((*base, 5), ((6,),)),
        ScoreRequest(base[:1], (base[1:],)),
    ]
    calls: list[int] = []
    found = pair.trie(chunk_rows=4).score(scored, on_result=lambda i, _: calls.append(i))
    assert sorted(calls) == list(range(len(scored)))
    assert largest_difference(found, pair.naive.score(scored)) < TOLERANCE
    assert found[0].token_logprobs == found[2].token_logprobs
    assert found[0].token_logprobs[0] == found[0].token_logprobs[1]
    # all of it is one path: base and the 5 after it; and the branch of 5 after base[:6] is never read
    assert sum(s.usage.tokens_unique for s in found) == len(base) + 1

    asked = [
        GenerateRequest(base, n=2, max_tokens=5, temperature=1.0),
        GenerateRequest(base[:6], max_tokens=5),
        GenerateRequest(base, n=2, max_tokens=5, temperature=1.0),
        GenerateRequest(base, n=3, max_tokens=7, temperature=1.0, seed=9),
        GenerateRequest(base[:1], n=2, max_tokens=5, temperature=1.0),
    ]
    expected = drawn(pair.naive.generate(asked))
    assert expected[0] == expected[2]
    for max_slots in (1, 2, 3, 64):
        calls.clear()
        engine = pair.trie(chunk_rows=4, max_slots=max_slots)
        assert drawn(engine.generate(asked, on_result=lambda i, _: calls.append(i))) == expected
        assert sorted(calls) == list(range(len(asked)))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_trap_17_a_plain_forward_is_the_same_before_and_after(attention: str) -> None:
    network = tiny_network("llama")
    network.set_attn_implementation(attention)
    ids = torch.tensor([list(ragged(11)[0])])

    def plain() -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = network(input_ids=ids).logits
        return logits

    before = plain()
    engine = TrieModel(network, IntegerTokenizer(), **settings(), chunk_rows=5)
    engine.score([ScoreRequest((3, 4, 5), ((6, 7),))])
    engine.generate([GenerateRequest((3, 4, 5), n=2, max_tokens=3)])
    assert network.config._attn_implementation == attention
    assert torch.equal(plain(), before)
    assert network.training is False


def test_trap_17_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network("llama")
    network.set_attn_implementation("sdpa")
    engine = TrieModel(network, IntegerTokenizer(), **settings())

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("inside the forward")

    with monkeypatch.context() as patch:
        patch.setattr(type(network.model.layers[1].mlp), "forward", fail)
        with pytest.raises(RuntimeError, match="inside the forward"):
            engine.score([ScoreRequest((3, 4), ((5, 6),))])
        with pytest.raises(RuntimeError, match="inside the forward"), attending(network, "eager"):
            network(input_ids=torch.tensor([[3, 4]]))
    assert network.config._attn_implementation == "sdpa"
    naive = NaiveModel(network, IntegerTokenizer(), **settings())
    asked = [ScoreRequest((3, 4), ((5, 6),))]
    assert largest_difference(engine.score(asked), naive.score(asked)) < TOLERANCE


def test_trap_17_two_engines_over_one_network_take_turns() -> None:
    network = tiny_network("gpt2")
    first, second = (TrieModel(network, IntegerTokenizer(), **settings(), chunk_rows=n) for n in (2, 50))
    asked = [ScoreRequest((3, 4, 8, 9), ((5, 6),)), ScoreRequest((3, 4), ((5, 6),))]
    inside: list[Any] = []
    found = first.score(asked, on_result=lambda *_: inside.append(second.score(asked)))
    assert len(inside) == 2
    for other in inside:
        assert largest_difference(other, found) < TOLERANCE
