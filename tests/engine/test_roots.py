"""What stands before every text: virtual tokens and given keys and values, against peft's own forward."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from transformers import DynamicCache

from icl.engine.loading.load import engine_on, open_network
from icl.engine.rungs.depth_first import CachedDfsModel
from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks import fused, packed
from icl.engine.trunks.fused import FusedTrunk
from icl.errors import ConfigError, ContextOverflow, RequestError
from icl.training import GivenKeysValues, Root, VirtualTokens
from icl.types import GenerateRequest, ScoreRequest, TokenIds

from .tiny import CONTEXT, VOCAB, IntegerTokenizer, largest_difference, ragged, sequences, tiny_network

peft = pytest.importorskip("peft")

LENGTH = 5
KINDS = ("virtual", "given")
FAMILIES = ("llama-tied", "qwen2", "gpt2", "mistral", "gemma2", "opt")
TEXTS = [*ragged(1, count=5, length=16), (7, 8, 9), (90, 8, 9)]
ASKED = [ScoreRequest(text[:-1], ((5, 6, 7), (8,))) for text in TEXTS]
WRITING = [GenerateRequest(text, max_tokens=6, ignore_eos=True) for text in TEXTS]
SAMPLING = [
    GenerateRequest(
        text, n=3, max_tokens=5, temperature=1.0, seed=at, no_repeat_ngram=2, presence_penalty=1.0
    )
    for at, text in enumerate(TEXTS)
]


def drawn(network: Any, kind: str, length: int = LENGTH, seed: int = 3) -> Root:
    """A root of random numbers as large as those that it stands beside."""
    draw = torch.Generator().manual_seed(seed)

    def like(tensor: torch.Tensor, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw) * float(tensor.float().std())

    if kind == "virtual":
        weight = network.get_input_embeddings().weight.detach()
        return VirtualTokens(like(weight, length, weight.shape[1]))
    cache = DynamicCache()
    with torch.inference_mode():
        network(input_ids=torch.tensor([[3, 4, 5]]), past_key_values=cache, use_cache=True)
    heads, size = cache.layers[0].keys.shape[1], cache.layers[0].keys.shape[3]
    return GivenKeysValues(
        tuple(like(layer.keys, heads, length, size) for layer in cache.layers),
        tuple(like(layer.values, heads, length, size) for layer in cache.layers),
    )


def engine(network: Any, root: Root | None, **options: Any) -> Any:
    common = {"name": "m", "context_length": CONTEXT, "fingerprint": "f"}
    return engine_on(network, IntegerTokenizer(), root=root, **common | options)


def others(network: Any, root: Root) -> Iterator[Any]:
    """The same model on the slower rungs."""
    common: dict[str, Any] = {"name": "m", "context_length": CONTEXT, "fingerprint": "f", "root": root}
    yield CachedDfsModel(network, IntegerTokenizer(), **common, chunk_rows=3)
    yield NaiveModel(network, IntegerTokenizer(), **common)


# -- against peft --------------------------------------------------------------------------------


def wrapped(network: Any, kind: str) -> tuple[Any, Root]:
    """peft's model over the network, and its root."""
    made = {
        "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=LENGTH),
        "encoder": lambda: peft.PromptEncoderConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=LENGTH, encoder_hidden_size=24
        ),
        "prefix": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=LENGTH),
    }
    model = peft.get_peft_model(network, made[kind]()).eval()
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.prompt_encoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.7)
        found = model.get_prompt(1)
    if kind != "prefix":
        return model, VirtualTokens(found[0].detach())
    return model, GivenKeysValues(
        tuple(layer.keys[0].detach() for layer in found.layers),
        tuple(layer.values[0].detach() for layer in found.layers),
    )


def own_logprobs(model: Any, text: TokenIds) -> torch.Tensor:
    """Of every token of a text but the first, by peft's forward."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([text])).logits[0, -len(text) :].float()
    return torch.log_softmax(logits[:-1], dim=-1)[torch.arange(len(text) - 1), list(text[1:])]


@pytest.mark.parametrize("kind", ["prompt", "encoder", "prefix"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_and_texts_are_those_of_peft(family: str, kind: str) -> None:
    network = tiny_network(family)
    theirs, root = wrapped(network, kind)
    model = engine(network, root)
    assert isinstance(model, TrieModel)
    read = network.config.model_type in fused.FAMILIES and packed.available(torch.float32)
    assert isinstance(model.trunk, FusedTrunk) == read
    scored = model.score([ScoreRequest(text[:1], (text[1:],)) for text in TEXTS])
    for text, scores in zip(TEXTS, scored, strict=True):
        found = torch.tensor(scores.token_logprobs[0])
        assert float((found - own_logprobs(theirs, text)).abs().max()) < 4e-5
    for request, generation in zip(WRITING[1:4], model.generate(WRITING)[1:4], strict=True):
        ids = torch.tensor([request.prompt])
        own = theirs.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
            eos_token_id=None,
        )  # fmt: skip
        assert generation.samples[0].token_ids == tuple(own[0, ids.shape[1] :].tolist())


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_of_the_embedded_model_too(embedded: str, kind: str) -> None:
    opened = open_network(embedded)
    theirs, root = wrapped(opened.network, kind)
    model = engine_on(
        opened.network, opened.tokenizer, root=root,
        name=opened.name, context_length=opened.context_length, fingerprint=opened.fingerprint,
    )  # fmt: skip
    text = opened.tokenizer.encode("Review: a film that one can see twice\nSentiment: positive")
    [scores] = model.score([ScoreRequest(text[:1], (text[1:],))])
    found = torch.tensor(scores.token_logprobs[0])
    assert float((found - own_logprobs(theirs, text)).abs().max()) < 1e-4
    assert model.context_length == opened.context_length - LENGTH


# -- the rungs agree -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama-tied", "gemma2", "bloom"])
def test_every_rung_says_the_same(family: str, kind: str) -> None:
    """Scores, greedy texts and drawn ones; chunks of seven rows, three texts side by side."""
    network = tiny_network(family)
    root = drawn(network, kind)
    model = engine(network, root, chunk_rows=7, max_slots=3)
    assert isinstance(model, CachedDfsModel if family == "bloom" else TrieModel)
    scored, written, samples = model.score(ASKED), model.generate(WRITING), model.generate(SAMPLING)
    for other in others(network, root):
        assert largest_difference(scored, other.score(ASKED)) < 1e-4
        assert [g.samples[0].token_ids for g in other.generate(WRITING)] == [
            g.samples[0].token_ids for g in written
        ]
        assert [[s.token_ids for s in g.samples] for g in other.generate(SAMPLING)] == [
            [s.token_ids for s in g.samples] for g in samples
        ]


LLAMA = tiny_network("llama")
MISTRAL = tiny_network("mistral")
ROOTED = [
    (engine(network, root), NaiveModel(
        network, IntegerTokenizer(), name="m", context_length=CONTEXT, fingerprint="f", root=root
    ))
    for network in (LLAMA, MISTRAL)
    for root in (drawn(network, "virtual"), drawn(network, "given", 9))
]  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(texts=sequences(most=6))
def test_any_texts_below_a_root(texts: list[TokenIds]) -> None:
    """The nine positions of a root go beyond Mistral's window of eight."""
    asked = [ScoreRequest(text, ((1, 2), (0,))) for text in texts]
    writing = [GenerateRequest(text, max_tokens=3, ignore_eos=True) for text in texts]
    for model, naive in ROOTED:
        assert largest_difference(model.score(asked), naive.score(asked)) < 1e-4
        for ours, plain in zip(model.generate(writing), naive.generate(writing), strict=True):
            assert ours.samples[0].logprobs == pytest.approx(plain.samples[0].logprobs, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str, dtype: torch.dtype) -> None:
    network = tiny_network("llama")
    root = drawn(network, kind)
    exact = engine(network, root).score(ASKED)
    model = engine(network.to(dtype), root)
    assert isinstance(model, TrieModel)
    naive = engine(network, root, engine="naive").score(ASKED)
    allowed = 2 * largest_difference(naive, exact) + 0.05
    assert largest_difference(model.score(ASKED), exact) < allowed


@pytest.mark.parametrize("kind", KINDS)
def test_alone_or_among_others_to_the_last_bit(kind: str) -> None:
    network = tiny_network("mistral")
    root = drawn(network, kind)
    model = engine(network, root, batch_invariant=True)
    if not isinstance(model, TrieModel):
        pytest.skip("no attention kernel in this build of torch")
    assert model.fingerprint.startswith("f-invariant-")
    scored, samples = model.score(ASKED), model.generate(SAMPLING)
    for at in (0, 2, 6):
        assert model.score([ASKED[at]])[0].token_logprobs == scored[at].token_logprobs
        assert model.generate([SAMPLING[at]])[0].samples == samples[at].samples
    *_, naive = others(network, root)
    assert largest_difference(scored, naive.score(ASKED)) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_gone_on_from(kind: str) -> None:
    network = tiny_network("llama")
    root = drawn(network, kind)
    model = engine(network, root)
    [first] = model.generate([GenerateRequest(TEXTS[0], max_tokens=4, continued=True, ignore_eos=True)])
    longer = (*TEXTS[0], *first.samples[0].token_ids, 9)
    asked = [GenerateRequest(longer, max_tokens=4, ignore_eos=True)]
    *_, naive = others(network, root)
    [gone_on], [plain] = model.generate(asked), naive.generate(asked)
    assert gone_on.samples[0].token_ids == plain.samples[0].token_ids
    assert gone_on.usage.tokens_unique < len(longer)


# -- what is counted, refused and noticed --------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_root_costs_nothing_a_text(kind: str) -> None:
    """A plain engine forwards virtual tokens with every text; this one has them from the start."""
    network = tiny_network("llama")
    model, bare = engine(network, drawn(network, kind)), engine(network, None)
    flat = LENGTH if kind == "virtual" else 0
    for found, untuned in zip(model.score(ASKED), bare.score(ASKED), strict=True):
        assert found.usage.tokens_unique == untuned.usage.tokens_unique
        assert found.usage.tokens_flat == untuned.usage.tokens_flat + 2 * flat
    for written, before in zip(model.generate(WRITING), bare.generate(WRITING), strict=True):
        assert written.usage.tokens_flat == before.usage.tokens_flat + flat
        assert max(written.samples[0].token_ids) < VOCAB
    rows: list[int] = []
    model.report_to(rows.append)
    model.score([ScoreRequest((7, 8), ((9,),)), ScoreRequest((90, 8), ((9,),))])
    assert sum(rows) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_sees_it(kind: str) -> None:
    network = tiny_network("llama")
    for model in (engine(network, drawn(network, kind)), *others(network, drawn(network, kind))):
        assert model.context_length == CONTEXT - LENGTH
        with pytest.raises(RequestError, match=f"allowed: 0 to {VOCAB - 1}"):
            model.score([ScoreRequest((VOCAB, 5), ((6,),))])
        with pytest.raises(RequestError, match="empty prompt"):
            model.generate([GenerateRequest((), max_tokens=2)])
        with pytest.raises(RequestError, match="no token of its own"):
            model.score([ScoreRequest((), ((6,),))])
        full = (4,) * (CONTEXT - LENGTH - 1)
        model.score([ScoreRequest(full, ((6,),))])
        with pytest.raises(ContextOverflow, match=f"holds {CONTEXT - LENGTH}"):
            model.score([ScoreRequest((*full, 4), ((6,),))])


@pytest.mark.parametrize("kind", KINDS)
def test_another_root_is_another_model(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    network = tiny_network("llama")
    root = drawn(network, kind)
    model = engine(network, root)
    same, other = engine(network, drawn(network, kind)), engine(network, drawn(network, kind, seed=4))
    assert len({model.fingerprint, other.fingerprint, "f"}) == 3
    assert model.fingerprint == same.fingerprint
    before, was = model.score(ASKED), model.fingerprint
    tensor = root.embeddings if isinstance(root, VirtualTokens) else root.values[-1]
    tensor.mul_(-1)
    with caplog.at_level(logging.WARNING, logger="icl"):
        *_, naive = others(network, root)
        assert largest_difference(model.score(ASKED), naive.score(ASKED)) < 1e-4
    assert largest_difference(model.score(ASKED), before) > 1e-3
    assert model.fingerprint != was
    assert "have changed since it was loaded" in caplog.text


def test_virtual_tokens_follow_the_network() -> None:
    """Their keys and values are worked out once, and again when the network has changed."""
    network = tiny_network("llama")
    root = drawn(network, "virtual")
    model = engine(network, root)
    model.score(ASKED)
    network.model.layers[0].self_attn.k_proj.weight.data.mul_(1.5)
    *_, naive = others(network, root)
    assert largest_difference(model.score(ASKED), naive.score(ASKED)) < 1e-4


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (VirtualTokens(torch.zeros(5, 31)), r"shape \(5, 31\); allowed: \(n, 32\)"),
        (VirtualTokens(torch.zeros(0, 32)), r"shape \(0, 32\)"),
        (VirtualTokens(torch.full((2, 32), float("nan"))), "not finite"),
        (VirtualTokens(torch.zeros(CONTEXT - 7, 32)), f"at most {CONTEXT - 8}"),
        (GivenKeysValues((torch.zeros(2, 3, 8),), (torch.zeros(2, 3, 8),)), "allowed: 2 each"),
        (GivenKeysValues((torch.zeros(4, 3, 8),) * 2, (torch.zeros(4, 3, 8),) * 2), r"allowed: \(2, 3, 8\)"),
        (GivenKeysValues((torch.zeros(2, 3, 8),) * 2, (torch.zeros(2, 4, 8),) * 2), "values of layer 0"),
    ],
)
def test_a_root_that_does_not_fit(root: Root, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        engine(LLAMA, root)


def test_only_a_network_with_weights_is_opened() -> None:
    with pytest.raises(ConfigError, match="tuning needs a model with weights, 'fake' has none"):
        open_network("fake")
