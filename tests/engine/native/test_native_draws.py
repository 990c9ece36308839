"""Draws of the kernels against those of torch's operations: the same tokens of the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from icl.engine.decoding.sampling import UniformStream, draw, draw_batch
from icl.engine.native import library
from icl.engine.native.draws import draw_tokens
from icl.engine.requests.finite import NotFinite
from icl.types import GenerateRequest

pytestmark = pytest.mark.usefixtures("kernels")
SIZES = (1, 5, 255, 256, 257, 1000, 5003)
TRUNCATIONS = [(0, 1.0), (7, 1.0), (0, 0.9), (40, 0.7), (0, 0.05), (10**6, 0.999)]


def rows(seed: int, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Logits of spread 3 and numbers in [0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, size, generator=generator)
    return logits, torch.rand(count, generator=generator, dtype=torch.float64)


def drawn(logits: Tensor, u: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    return draw_tokens(logits, [(temperature, top_k, top_p, x) for x in u.tolist()], [])[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("top_k", "top_p"), TRUNCATIONS)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_the_same_tokens(size: int, top_k: int, top_p: float, temperature: float) -> None:
    logits, u = rows(size, 100, size)
    wanted = draw(logits, u, temperature, top_k, top_p)
    assert torch.equal(drawn(logits, u, temperature, top_k, top_p), wanted)


def test_the_same_tokens_of_thousands_of_rows() -> None:
    logits, u = rows(1, 4000, 700)
    for temperature, top_k, top_p in ((1.0, 0, 1.0), (0.7, 0, 1.0), (1.0, 50, 0.9)):
        found = drawn(logits, u, temperature, top_k, top_p)
        assert torch.equal(found, draw(logits, u, temperature, top_k, top_p))


@pytest.mark.parametrize("top", TRUNCATIONS)
def test_among_ties_the_first_comes_first(top: tuple[int, float]) -> None:
    logits, u = rows(2, 300, 400)
    logits = logits.round()  # a dozen values only
    greedy, likeliest, _ = draw_tokens(logits, [(0.0, *top, 0.0)] * 300, [])
    assert torch.equal(greedy, logits.argmax(-1))
    assert torch.equal(likeliest, greedy)
    found, wanted = drawn(logits, u, 1.0, *top), draw(logits, u, 1.0, *top)
    # torch.topk leaves open which of equal logits stands first: the value is fixed, here the token is too
    assert torch.equal(logits.gather(1, found[:, None]), logits.gather(1, wanted[:, None]))
    if top == (0, 1.0):
        assert torch.equal(found, wanted)
    order = torch.sort(logits, dim=-1, descending=True, stable=True).indices
    sure = drawn(logits, torch.zeros(300, dtype=torch.float64), 1.0, 5, 1.0)
    assert torch.equal(sure, order[:, 0])


def test_both_ends_of_the_distribution() -> None:
    logits = torch.full((2, 600), -torch.inf)
    logits[:, [3, 300, 580]] = torch.tensor([0.2, 0.1, 0.0])
    ends = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    for top in TRUNCATIONS:
        assert drawn(logits, ends, 1.0, *top).tolist() == draw(logits, ends, 1.0, *top).tolist()
    assert drawn(logits, ends, 1.0, 0, 1.0).tolist() == [3, 580]


def test_the_share_of_a_token_is_its_probability() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(20_000, 4).contiguous()
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    share = torch.bincount(drawn(logits, u, 1.0, 0, 1.0), minlength=4) / 20_000
    torch.testing.assert_close(share, torch.softmax(logits[0], 0), atol=1e-4, rtol=0)


def test_log_sum_exp_is_that_of_fp64() -> None:
    logits, _ = rows(3, 50, 5003)
    _, _, lse = draw_tokens(50 * logits, [(1.0, 0, 1.0, 0.5)] * 50, [])
    torch.testing.assert_close(lse, torch.logsumexp(50 * logits.double(), -1), rtol=1e-6, atol=1e-6)


def test_banned_tokens_are_never_drawn_and_weigh_nothing() -> None:
    logits, u = rows(4, 64, 300)
    banned = [[int(logits[b].argmax()), 7] if b % 2 else [] for b in range(64)]
    allowed = logits.clone()
    for b, tokens in enumerate(banned):
        allowed[b, tokens] = -torch.inf
    for temperature, top_k, top_p in ((1.0, 0, 1.0), (0.5, 9, 0.8)):
        settings = [(temperature, top_k, top_p, x) for x in u.tolist()]
        found, likeliest, lse = draw_tokens(logits, settings, banned)
        assert torch.equal(found, draw(allowed, u, temperature, top_k, top_p))
        assert torch.equal(likeliest, logits.argmax(-1))
        torch.testing.assert_close(lse, torch.logsumexp(logits.double(), -1))
    greedy = draw_tokens(logits, [(0.0, 0, 1.0, 0.0)] * 64, banned)[0]
    assert torch.equal(greedy, allowed.argmax(-1))


def requests() -> list[GenerateRequest]:
    """One of each kind, mixed."""
    kinds = [
        {"temperature": 0.0},
        {"temperature": 1.0},
        {"temperature": 0.6, "top_k": 20},
        {"temperature": 1.2, "top_p": 0.8},
        {"temperature": 1.0, "no_repeat_ngram": 2},
        {"temperature": 0.9, "template_ids": tuple(range(0, 500, 2))},
        {"temperature": 1.0, "presence_penalty": 2.0, "frequency_penalty": 1.0},
        {"temperature": 0.0, "frequency_penalty": 2.0},
    ]
    return [GenerateRequest((b + 1, 2, 3), max_tokens=5, **kinds[b % 8]) for b in range(60)]  # type: ignore[arg-type]


def batch(logits: Tensor) -> tuple[list[tuple[int, float]], list[float]]:
    asked = requests()
    streams = [UniformStream(0, (b,), 0) for b in range(len(asked))]
    contexts = [(*range(500), 4, 9) if r.no_repeat_ngram else () for r in asked]
    written = [logits[b].topk(3).indices.tolist() * 2 for b in range(len(asked))]
    found = draw_batch(logits, asked, streams, contexts, written)
    return found, [next(stream) for stream in streams]


def test_a_batch_of_all_kinds_is_drawn_alike_and_uses_the_same_numbers() -> None:
    logits, _ = rows(5, 60, 500)
    found, after = batch(logits)
    with library.left_out():
        wanted, after_too = batch(logits)
    assert [token for token, _ in found] == [token for token, _ in wanted]
    assert [p for _, p in found] == pytest.approx([p for _, p in wanted], abs=2e-6)
    assert after == after_too


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    logits, _ = rows(6, 60, 500)
    logits[17, 100] = value
    with pytest.raises(NotFinite, match="18, 2, 3"):
        batch(logits)
