"""Scores against log-probabilities that are worked out by hand from the server's distribution."""

from __future__ import annotations

import math

import pytest

from icl.backends.openai.answers import Entry, Step
from icl.backends.openai.scoring import beside, bound_of
from icl.errors import RequestError
from icl.types import ScoreRequest
from tests.backends.conftest import opened
from tests.backends.server import logprob, next_logprobs

PROMPT = "Is it good? "
LABELS = ("yes", "no", "not at all", "quite so")


def truth(prompt: str = PROMPT) -> list[float]:
    return [logprob(prompt, label) for label in LABELS]


@pytest.mark.parametrize("way", ["token_ids", "forced", "echo", "prompt_logprobs", "auto"])
@pytest.mark.parametrize("does", [{}, {"shape": "chat"}], ids=["classic", "chat-shaped"])
def test_exact_ways_are_exact(started, way, does):
    model = opened(started(**does), scoring=way)
    (scores,) = model.score([ScoreRequest(PROMPT, LABELS)])
    assert scores.logprobs == pytest.approx(truth(), abs=1e-6)
    assert [len(row) for row in scores.token_logprobs] == [len(label) for label in LABELS]
    assert scores.bounded == ()


@pytest.mark.parametrize("way", ["forced", "token_ids"])
def test_without_ids_tokens_are_known_by_their_text(started, way):
    model = opened(started(ids=False, token_ids="ok", echo="ignored"), scoring="forced")
    (scores,) = model.score([ScoreRequest(PROMPT, LABELS[:2])])
    assert scores.logprobs == pytest.approx(truth()[:2], abs=1e-6)


def test_forced_by_the_allowed_tokens_where_a_bias_shows_in_the_values(started):
    model = opened(started(bias="after", token_ids="ignored"), scoring="forced")
    (scores,) = model.score([ScoreRequest(PROMPT, LABELS)])
    assert scores.logprobs == pytest.approx(truth(), abs=1e-6)


def test_top_k_says_which_values_are_bounds_and_they_bound(started):
    model = opened(started(), scoring="top_k")
    requests = [ScoreRequest(f"Question {number}: ", ("a", "b", "c", "d", "e")) for number in range(20)]
    seen = 0
    for request, scores in zip(requests, model.score(requests), strict=True):
        for number, label in enumerate(request.continuations):
            value, real = scores.logprobs[number], logprob(request.prompt, label)
            if number in scores.bounded:
                assert value >= real
                assert value > -20  # a bound, not a zero in disguise
                seen += 1
            else:
                assert value == pytest.approx(real, abs=1e-6)
    assert 10 < seen < 90


def test_a_bound_is_the_least_of_the_top_and_of_what_is_left():
    def top(*probabilities: float) -> list[Entry]:
        return [Entry(i, None, math.log(p)) for i, p in enumerate(probabilities)]

    assert bound_of(top(0.5, 0.2)) == pytest.approx(math.log(0.2))
    assert bound_of(top(0.7, 0.29)) == pytest.approx(math.log(0.01 + 1e-4))
    assert bound_of([]) == 0.0


def test_a_token_that_was_forced_is_no_bound_for_others():
    likely, forced = Entry(1, None, math.log(0.5)), Entry(2, None, math.log(1e-6))
    assert bound_of(beside(Step(forced, (likely, forced)))) == pytest.approx(math.log(0.5))
    assert bound_of(beside(Step(likely, (likely, forced)))) == pytest.approx(math.log(1e-6))


def test_choice_gives_the_choice_and_calls_all_of_it_a_bound(started):
    server = started(top=0)
    model = opened(server)
    (scores,) = model.score([ScoreRequest(PROMPT, LABELS)])
    assert LABELS[scores.logprobs.index(max(scores.logprobs))] == LABELS[truth().index(max(truth()))]
    assert scores.bounded == (0, 1, 2, 3)
    assert sorted(set(scores.logprobs)) == [math.log(0.5), 0.0]
    assert "scoring choice (structured_outputs)" in model.engine


def test_a_chat_scores_the_first_token(started):
    server = started(completions=False)
    model = opened(server)
    (scores,) = model.score([ScoreRequest("Good?", (" yes", " no", " quite"))])
    chat = "<user>Good?</user><assistant>"
    values = next_logprobs(list(chat.encode()))
    for number, label in enumerate("ynq"):
        exact = math.log(math.exp(values[ord(label)]))
        if number in scores.bounded:
            assert scores.logprobs[number] >= exact
        else:
            assert scores.logprobs[number] == pytest.approx(exact, abs=1e-6)
    with pytest.raises(RequestError, match="'no' and 'not' begin with the same token"):
        model.score([ScoreRequest("Good?", (" no", " not"))])


def test_nothing_that_scores_is_refused_with_what_would_work(started):
    model = opened(started(top=0, choice=""))
    with pytest.raises(RequestError, match=r"labels cannot be scored there.*Methods that write their"):
        model.score([ScoreRequest(PROMPT, LABELS)])
    with pytest.raises(RequestError, match=r"by echo there.*scoring: auto would take token_ids"):
        opened(started(echo="ignored", prompt_logprobs="ignored"), scoring="echo").score(
            [ScoreRequest(PROMPT, LABELS)]
        )


def test_results_come_one_by_one_and_in_the_order_of_the_requests(started):
    model = opened(started(), concurrency=4)
    requests = [ScoreRequest(f"Number {number}? ", LABELS[:2]) for number in range(12)]
    came: dict[int, tuple[float, ...]] = {}
    found = model.score(requests, lambda index, scores: came.update({index: scores.logprobs}))
    assert [s.logprobs for s in found] == [came[index] for index in range(12)]
    expected = [[logprob(r.prompt, label) for label in LABELS[:2]] for r in requests]
    assert [list(s.logprobs) for s in found] == [pytest.approx(row, abs=1e-6) for row in expected]
