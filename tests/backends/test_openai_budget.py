"""A budget is never gone beyond, stops cleanly, and keeps what came back."""

from __future__ import annotations

import pytest

from icl.backends.openai.budget import Budget, Spent
from icl.types import GenerateRequest, ScoreRequest
from tests.backends.conftest import opened


def test_a_request_is_held_at_its_worst_until_it_is_settled():
    budget = Budget.of({"tokens": 100})
    assert budget.fits(60, 40)
    assert not budget.fits(61, 40)
    budget.hold(50, 20)
    assert budget.fits(20, 10)
    assert not budget.fits(21, 10)
    budget.settle((50, 20), (50, 5))
    assert (budget.read, budget.written, budget.waiting) == (50, 5, 0)
    assert budget.fits(35, 10)
    assert not budget.fits(36, 10)


def test_money_is_counted_by_the_prices_of_a_million():
    budget = Budget.of({"money": 1.0, "prices": {"input": 2.0, "output": 10.0}})
    assert budget.cost(250_000, 50_000) == pytest.approx(1.0)
    assert budget.fits(250_000, 50_000)
    assert not budget.fits(250_001, 50_000)
    assert "the budget of 1 (0 is spent)" in str(budget.spent())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "budget is {}"),
        ({"token": 5}, "unknown key of budget 'token'. Did you mean 'tokens'"),
        ({"tokens": 0}, "budget.tokens is 0; allowed: a whole number, at least 1"),
        ({"tokens": True}, "budget.tokens is True"),
        ({"money": 5}, "money and prices: {input: ..., output: ...} go together"),
        ({"prices": {"input": 1, "output": 1}}, "go together"),
        ({"money": float("inf"), "prices": {"input": 1, "output": 1}}, "budget.money is inf"),
        ({"money": 5, "prices": {"input": 1}}, "budget.prices is {'input': 1}"),
        ({"money": 5, "prices": {"input": 1, "output": -1}}, "budget.prices.output is -1"),
    ],
)
def test_what_is_no_budget_is_said(given, words):
    with pytest.raises(ValueError) as caught:
        Budget.of(given)
    assert words in str(caught.value)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_session_ends_before_its_budget_and_keeps_what_came(started, concurrency):
    server = started()
    requests = [ScoreRequest(f"{number:04d} is ", ("odd", "even")) for number in range(60)]
    free = opened(server, scoring="token_ids")
    whole = [s.logprobs for s in free.score(requests)]
    model = opened(server, scoring="token_ids", concurrency=concurrency, budget={"tokens": 1000})
    came: dict[int, tuple[float, ...]] = {}
    with pytest.raises(Spent, match=r"of 1,000 tokens .*What came back is kept; the same command goes on"):
        model.score(requests, lambda index, scores: came.update({index: scores.logprobs}))
    spent = model.client.budget.read + model.client.budget.written
    assert 900 < spent <= 1000
    assert 10 < len(came) < 60
    assert all(whole[index] == pytest.approx(value, abs=1e-9) for index, value in came.items())


def test_samples_are_held_at_their_limit_and_counted_as_they_are(started):
    model = opened(started(), budget={"tokens": 5_000})
    before = (model.found, model.client.budget.written)[1]
    model.generate([GenerateRequest("x" * 30, max_tokens=50, n=4, temperature=1.0)])
    written = model.client.budget.written - before
    assert 4 < written <= 200
    with pytest.raises(Spent):
        model.generate([GenerateRequest("x" * 30, max_tokens=3000, n=4, temperature=1.0)])
