"""Draws: the right distribution, from a stream that belongs to the sample alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl.engine.decoding.sampling import UniformStream, banned_tokens, draw_batch
from icl.types import GenerateRequest

LOGITS = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0)) * 3


class Given(Iterator[float]):
    """A stream that gives one number."""

    def __init__(self, u: float) -> None:
        self.u = u

    def __next__(self) -> float:
        return self.u


def drawn(logits: torch.Tensor, request: GenerateRequest, u: float) -> int:
    [(token, logprob)] = draw_batch(logits, [request], [Given(u)], [()])  # type: ignore[list-item]
    assert logprob == pytest.approx(float(torch.log_softmax(logits.double(), -1)[0, token]), abs=1e-4)
    return token


@given(st.floats(0, 1, exclude_max=True), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_draw_inverts_the_cumulative_distribution(u: float, temperature: float) -> None:
    token = drawn(LOGITS, GenerateRequest("x", temperature=temperature), u)
    cumulative = torch.cumsum(torch.softmax(LOGITS[0].double() / temperature, -1), -1)
    below = float(cumulative[token - 1]) if token else 0.0
    assert below - 1e-6 <= u <= float(cumulative[token]) + 1e-6


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 5), st.sampled_from([0.05, 0.3, 0.9]))
def test_truncation_keeps_the_likeliest(u: float, top_k: int, top_p: float) -> None:
    best = torch.argsort(LOGITS[0], descending=True).tolist()
    assert drawn(LOGITS, GenerateRequest("x", temperature=1.0, top_k=top_k), u) in best[:top_k]
    weights = torch.softmax(LOGITS[0].double(), -1)[best].numpy()
    nucleus = int(np.searchsorted(np.cumsum(weights), top_p)) + 1
    assert drawn(LOGITS, GenerateRequest("x", temperature=1.0, top_p=top_p), u) in best[:nucleus]


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_the_edges_never_draw_what_is_impossible(u: float) -> None:
    logits = torch.full((1, 600), -torch.inf)
    logits[0, [100, 400]] = torch.tensor([0.0, 1.0])
    for options in ({}, {"top_k": 2}, {"top_p": 0.99}):
        assert drawn(logits, GenerateRequest("x", temperature=1.0, **options), u) in (100, 400)


def test_a_draw_does_not_depend_on_the_rows_beside_it() -> None:
    logits = torch.randn(6, 700, generator=torch.Generator().manual_seed(1)) * 2
    requests = [
        GenerateRequest("x", temperature=t, top_k=k, seed=i)
        for i, (t, k) in enumerate([(1.0, 0), (0.0, 0), (1.0, 5), (1.0, 0), (0.5, 0), (1.0, 5)])
    ]

    def draw(rows: list[int]) -> list[int]:
        streams = [UniformStream(requests[b].seed, (1, 2), b) for b in rows]
        return [
            t for t, _ in draw_batch(logits[rows], [requests[b] for b in rows], streams, [()] * len(rows))
        ]

    together = draw([0, 1, 2, 3, 4, 5])
    assert [draw([b])[0] for b in range(6)] == together
    assert draw([5, 3, 1]) == [together[5], together[3], together[1]]


def test_streams_are_keyed_by_seed_prompt_and_sample() -> None:
    def first(*key: object) -> list[float]:
        stream = UniformStream(*key)  # type: ignore[arg-type]
        return [next(stream) for _ in range(70)]

    base = first(0, (1, 2), 3)
    assert base == first(0, (1, 2), 3)
    others = [first(1, (1, 2), 3), first(0, (1, 2, 3), 3), first(0, (2, 1), 3), first(0, (1, 2), 4)]
    assert all(base[i] != other[i] for other in others for i in range(70))
    assert all(0 <= u < 1 for u in base)
    assert len(set(base)) == 70


def test_streams_are_the_same_on_every_machine() -> None:
    """Kept results name their draws by these numbers: they must never change."""
    stream = UniformStream(7, (1, 2, 3), 0)
    assert [round(next(stream), 12) for _ in range(3)] == [0.135936126147, 0.457852688909, 0.489672826494]


def brute_banned(context: list[int], size: int) -> set[int]:
    seen = {tuple(context[i : i + size]) for i in range(len(context) - size + 1)}
    return {t for t in range(3) if len(context) >= size and (*context[len(context) - size + 1 :], t) in seen}


def test_penalties_are_taken_off_what_was_written_once_and_as_often() -> None:
    """mu[j] - c[j] * frequency - (c[j] > 0) * presence, OpenAI's; log-probabilities are the model's own."""
    logits = torch.tensor([[1.0, 0.5, 0.0, -0.5, 2.0]])
    request = GenerateRequest("x", temperature=0.5, presence_penalty=1.5, frequency_penalty=-0.25)
    changed = torch.tensor([1.0, 0.5 - 1.5 + 0.25, 0.0, -0.5, 2.0 - 1.5 + 3 * 0.25])
    shares = torch.softmax(changed.double() / 0.5, -1)
    n = 4000
    streams = [Given((at + 0.5) / n) for at in range(n)]
    drawn_ones = draw_batch(logits.expand(n, 5), [request] * n, streams, [()] * n, [(4, 1, 4, 4)] * n)  # type: ignore[arg-type]
    counts = np.bincount([token for token, _ in drawn_ones], minlength=5)
    np.testing.assert_allclose(counts / n, shares.numpy(), atol=1e-3)
    model = torch.log_softmax(logits[0], -1)
    assert all(
        logprob == pytest.approx(float(model[token]), abs=1e-5) for token, logprob in drawn_ones[::500]
    )
    assert torch.equal(logits, torch.tensor([[1.0, 0.5, 0.0, -0.5, 2.0]])), "the logits themselves stay"


def test_a_greedy_text_is_penalised_too_and_one_without_a_token_is_not() -> None:
    logits = torch.tensor([[1.0, 1.5], [1.0, 1.5], [1.0, 1.5]])
    asked = [GenerateRequest("x", presence_penalty=1.0), GenerateRequest("x", presence_penalty=1.0)]
    asked.append(GenerateRequest("x"))
    found = draw_batch(logits, asked, [Given(0.0)] * 3, [()] * 3, [(1,), (), (1,)])  # type: ignore[arg-type]
    assert [token for token, _ in found] == [0, 1, 1]


@given(st.lists(st.integers(0, 2), max_size=10), st.integers(1, 4))
def test_banned_tokens_would_repeat_an_n_gram(context: list[int], size: int) -> None:
    assert set(banned_tokens(context, size)) == brute_banned(context, size)
    assert banned_tokens(context, 0) == []


def test_the_form_is_never_banned_and_taken_where_it_is_most_likely() -> None:
    """Context 5 6 5: after it a bigram ban forbids 6. Of 10 tokens 6 is the most likely."""
    logits = torch.zeros(1, 10)
    logits[0, 6] = 0.5
    plain = GenerateRequest("x", temperature=2.0, no_repeat_ngram=2)

    def tokens(request: GenerateRequest) -> set[int]:
        streams = [Given(u) for u in np.linspace(0, 0.999, 200)]
        return {draw_batch(logits, [request], [s], [(5, 6, 5)])[0][0] for s in streams}  # type: ignore[list-item]

    assert tokens(plain) == set(range(10)) - {6}
    assert tokens(replace(plain, template_ids=(6, 2))) == {6}, "exempt, and the most likely"
    assert tokens(replace(plain, template_ids=(2,))) == set(range(10)) - {6}, "2 is drawn for as all others"
    logits[0, 3] = 0.6
    assert tokens(replace(plain, template_ids=(6,))) == set(range(10)), "exempt, and not the most likely"
    assert tokens(replace(plain, temperature=0.0, template_ids=(6,))) == {3}


def test_a_form_taken_uses_its_number_up() -> None:
    """What is drawn at a later step is what it would have been."""
    sharp, flat = torch.zeros(1, 10), torch.zeros(1, 10)
    sharp[0, 4] = 1.0
    request = GenerateRequest("x", temperature=1.0)
    later = []
    for ids in ((), (4,)):
        stream = UniformStream(0, (1, 2), 0)
        draw_batch(sharp, [replace(request, template_ids=ids)], [stream], [()])
        later.append(draw_batch(flat, [request], [stream], [()]))
    assert later[0] == later[1]
