"""The parts of the study of induction heads, each against a plain way to work it out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from icl.engine.rungs.plain import plain_logits
from icl.errors import ConfigError
from icl.mechanism.shared.heads import Head, HeadReader
from icl.mechanism.shared.induction.choice import random_heads, top_heads
from icl.mechanism.shared.induction.circuits import Circuits, read_circuits
from icl.mechanism.shared.induction.positions import icl_scores, running_texts
from icl.mechanism.shared.induction.repeats import losses, middle_tokens, repeated
from icl.mechanism.shared.induction.scores import Patterns, read_scores
from icl.mechanism.shared.paired import sign_flip
from icl.types import Example
from tests.engine.tiny import VOCAB, IntegerTokenizer, tiny_network
from tests.tuning.planted import TOKENIZER

CIRCUITS = ("llama", "gpt2", "gpt-neox", "gemma2", "qwen3", "opt", "phi3", "olmo2", "mistral")


def texts_of(count: int = 3) -> torch.Tensor:
    return repeated(count, 6, 3, np.arange(30, 90), 2, np.random.default_rng)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_scores_are_those_of_loops_over_eager_weights(family: str) -> None:
    network = tiny_network(family)
    texts = texts_of()
    with torch.inference_mode():
        own = network(texts, output_attentions=True, use_cache=False).attentions
    reader = HeadReader(network)
    scores = read_scores(reader, texts, Patterns(1, 6, 3), read_circuits(reader), lambda _: None)
    for b, layer, head in np.ndindex(3, len(own), 4):
        weights, ids = own[layer][b, head], texts[b].tolist()
        prefix = [
            sum(float(weights[i, j]) for j in range(1, i + 1) if ids[j - 1] == ids[i]) for i in range(7, 19)
        ]
        previous = [float(weights[i, i - 1]) for i in range(2, 19)]
        assert scores["prefix"][b, layer, head] == pytest.approx(np.mean(prefix), abs=1e-5)
        assert scores["previous"][b, layer, head] == pytest.approx(np.mean(previous), abs=1e-5)


def test_scores_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = HeadReader(tiny_network("llama"))
    texts, patterns, circuits = texts_of(5), Patterns(1, 6, 3), read_circuits(reader)
    whole = read_scores(reader, texts, patterns, circuits, lambda _: None)
    monkeypatch.setattr("icl.mechanism.shared.induction.scores.ROWS", 40)
    told: list[int] = []
    parts = read_scores(reader, texts, patterns, circuits, told.append)
    assert told == [2, 4, 5]
    for name, value in whole.items():
        assert np.allclose(value, parts[name], atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("family", CIRCUITS)
def test_circuits_give_what_the_network_gives(family: str) -> None:
    """What heads hand on, made of the circuits' value weights, is what they hand on; biases apart."""
    network = tiny_network(family, tie_word_embeddings=False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    reader = HeadReader(network)
    circuits = read_circuits(reader)
    texts = torch.randint(3, VOCAB, (1, 9), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        states = network(texts, output_hidden_states=True, use_cache=False).hidden_states[1][0]
    found: dict[int, torch.Tensor] = {}
    reader.forward(texts, lambda seen: found.setdefault(seen.layer, seen.values[0]))
    values = circuits.values[1]
    assert values is not None
    expected = torch.einsum("hde,te->htd", values, states).repeat_interleave(4 // len(values), dim=0)
    ratio = found[1] / expected  # a norm divides each token by a number of its own
    assert torch.allclose(ratio, ratio[:1, :, :1].expand_as(ratio), rtol=2e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_positivity_is_that_of_the_whole_vocabulary(family: str) -> None:
    reader = HeadReader(tiny_network(family, tie_word_embeddings=False))
    circuits = read_circuits(reader)
    values, unembedding = circuits.values[1], circuits.unembedding
    assert values is not None
    assert unembedding is not None
    found = circuits.positivity(1)
    for head in range(4):
        whole = (
            unembedding @ circuits.outputs[1][head] @ values[head * len(values) // 4] @ circuits.embedding.T
        )
        eigenvalues = torch.linalg.eigvals(whole.double())
        expected = float(eigenvalues.real.sum() / eigenvalues.abs().sum())
        assert found[head] == pytest.approx(expected, abs=1e-3)


def test_the_lift_is_that_of_the_logits_of_what_a_head_writes() -> None:
    draw = torch.Generator().manual_seed(0)
    outputs, unembedding = torch.randn(2, 12, 5, generator=draw), torch.randn(40, 12, generator=draw) + 0.3
    circuits = Circuits([None], [outputs], torch.zeros(40, 12), unembedding)
    mixed = torch.randn(3, 2, 4, 5, generator=draw)
    ids = torch.randint(0, 40, (3, 2, 4), generator=draw)
    logits = torch.einsum("hed,bhrd->bhre", outputs, mixed) @ unembedding.T
    expected = (torch.gather(logits, 3, ids[..., None])[..., 0] - logits.mean(-1)) / logits.std(
        -1, correction=0
    )
    assert torch.allclose(circuits.lift(0, mixed, ids), expected, atol=1e-4)
    assert circuits.positivity(0) == [None, None]


def test_losses_are_those_of_plain_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icl.mechanism.shared.induction.repeats.HEAD_ROWS", 5)
    network = tiny_network("gemma2")  # its logits are capped
    texts = texts_of(2)
    found = losses(HeadReader(network), texts)
    for row, ids in zip(found, texts.tolist(), strict=True):
        with torch.inference_mode():
            chances = plain_logits(network, ids).log_softmax(-1)
        expected = [-float(chances[at, after]) for at, after in enumerate(ids[1:])]
        assert row == pytest.approx(expected, abs=1e-3)


def test_repeated_tokens_are_different_words_of_the_middle() -> None:
    of = middle_tokens(IntegerTokenizer(), VOCAB)
    assert of.tolist() == list(range(28, 85))
    texts = repeated(4, 10, 3, of, 2, np.random.default_rng)
    assert texts.shape == (4, 31)
    assert (texts[:, 0] == 2).all()
    for row in texts[:, 1:].tolist():
        assert row[:10] * 3 == row
        assert len(set(row[:10])) == 10
    assert texts[:2].tolist() == repeated(2, 10, 3, of, 2, np.random.default_rng).tolist()
    assert repeated(1, 10, 3, of, None, np.random.default_rng).shape == (1, 30)
    letters = middle_tokens(TOKENIZER, 101)
    assert all(TOKENIZER.decode([i]).isalnum() for i in letters)


def test_random_heads_are_others_of_the_same_layers() -> None:
    scores = np.zeros((4, 3))
    scores[1, 2], scores[3, 0], scores[3, 1] = 0.9, 0.8, 0.7
    top = top_heads(scores, 3)
    assert top == [Head(1, 2), Head(3, 0), Head(3, 1)]
    drawn = [random_heads(top, 4, 3, np.random.default_rng(seed)) for seed in range(20)]
    for heads, moved in drawn:
        assert moved == 1
        assert not set(heads) & set(top)
        assert len(set(heads)) == 3
        assert sorted(head.layer for head in heads) == [1, 2, 3]  # layer 3 has one left: the other is near
    assert len({tuple(heads) for heads, _ in drawn}) > 2
    with pytest.raises(ValueError, match="no two different sets of 7"):
        random_heads(top_heads(scores, 7), 4, 3, np.random.default_rng(0))


def test_running_texts_share_no_row_and_have_one_length() -> None:
    rows = [Example(str(n), {"text": chr(97 + n) * (5 + n)}, "") for n in range(20)]
    texts, per_text = running_texts(rows, 3, 40, TOKENIZER, np.random.default_rng(0))
    assert texts.shape == (3, 40)
    assert 2 <= per_text <= 6
    letters = [set(TOKENIZER.decode(row)) - {"\n"} for row in texts.tolist()]
    assert not letters[0] & letters[1]
    assert not letters[1] & letters[2]
    assert "\n\n" in TOKENIZER.decode(texts[0].tolist())
    with pytest.raises(ConfigError, match=r"texts is 9, and 20 rows make \d texts of 40 tokens"):
        running_texts(rows, 9, 40, TOKENIZER, np.random.default_rng(0))


def test_the_score_of_learning_in_context_compares_two_places() -> None:
    found = np.tile(np.arange(2.0, 62.0), (2, 1))  # the loss of token n is n
    found[1] += 5
    assert icl_scores(found, 10, 60, 1).tolist() == [50, 50]
    assert icl_scores(-found, 10, 60, 4).tolist() == [-50, -50]
    found[0, 58] = 0  # of token 60
    assert icl_scores(found, 10, 60, 1).tolist() == [-10, 50]
    assert icl_scores(found, 10, 60, 2)[0] == pytest.approx(29.5 - 9.5)


def test_signs_are_flipped() -> None:
    assert sign_flip([0.0, 0.0]) == 1.0
    assert sign_flip([1.0] * 5) == pytest.approx(2 / 32)
    assert sign_flip([1.0, -1.0] * 8) == 1.0
    draw = np.random.default_rng(0)
    below = [sign_flip(draw.normal(size=12)) < 0.1 for _ in range(200)]
    assert 0.05 < np.mean(below) < 0.16
