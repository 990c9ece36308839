"""Answers that are valid JSON and cannot be right, and keys and addresses that cannot be."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from icl.backends.openai import client as asking
from icl.backends.openai.client import Client
from icl.errors import IclError
from icl.types import GenerateRequest, ScoreRequest
from tests.backends.server import logprob

from .faulty import Faults, Proxy, made_up
from .loopback import Answered, Asked, Handler, Loopback
from .test_openai_behind_a_proxy import KEY, opened

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Changing:
    """The made-up server; `change` alters each choice of an answer, `first` is the next answer."""

    def __init__(self) -> None:
        self._inner: Handler = made_up()
        self.change: Change | None = None
        self.first: Answered | None = None
        self.asked = 0

    async def __call__(self, asked: Asked) -> Answered:
        """The answer, changed."""
        answered = await self._inner(asked)
        if not asked.path.endswith("/completions"):
            return answered
        self.asked += 1
        if self.first is not None:
            answered, self.first = self.first, None
        elif self.change is not None:
            body = json.loads(answered.body)
            for choice in body["choices"]:
                self.change(choice)
            answered = Answered.of(body)
        return answered


@contextmanager
def changed(**options: Any) -> Iterator[tuple[Any, Changing]]:
    """A model that has been probed, and its server, which may change from now on."""
    server = Changing()
    with Loopback(server) as http:
        model = opened(http.url, retries=1, **options)
        model.generate([GenerateRequest("before", max_tokens=1)])
        yield model, server


def valued(value: float) -> Change:
    """Every log-probability of the prompt and of what was written is `value`."""

    def change(choice: dict[str, Any]) -> None:
        held = choice["logprobs"]
        if held:
            held["token_logprobs"] = [value] * len(held["token_logprobs"])
            held["top_logprobs"] = [dict.fromkeys(top or {}, value) for top in held["top_logprobs"]]

    return change


@pytest.mark.parametrize("way", ["echo", "forced", "token_ids", "top_k"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 3.0], ids=str)
def test_numbers_that_are_no_log_probabilities_are_no_scores(way: str, value: float) -> None:
    with changed(scoring=way) as (model, server):
        server.change = valued(value)
        if way == "forced":  # as for any token that a server says nothing of: a bound, and said
            (scores,) = model.score([ScoreRequest("Is it?", (" yes", " no"))])
            assert scores.bounded == (0, 1)
            assert all(score <= 0 for score in scores.logprobs)
        else:
            with pytest.raises(IclError, match=r"log-?prob"):
                model.score([ScoreRequest("Is it?", (" yes", " no"))])
        (sample,) = model.generate([GenerateRequest("Is it?", max_tokens=2)])[0].samples
        assert all(number != number for number in sample.logprobs), "nan: nobody knows"


def test_what_is_all_but_certain_may_be_rounded_above_nought() -> None:
    with changed(scoring="echo") as (model, server):
        server.change = valued(1e-6)
        assert model.score([ScoreRequest("a", ("b",))])[0].logprobs == (1e-6,)
        server.change = None
        assert model.score([ScoreRequest("a", ("b",))])[0].logprobs == pytest.approx((logprob("a", "b"),))


def test_half_of_a_surrogate_pair_becomes_a_text_that_can_be_kept() -> None:
    with changed() as (model, server):
        server.change = lambda choice: choice.update(text="a\ud83d b \U0001f600", logprobs=None)
        (sample,) = model.generate([GenerateRequest("Is it?", max_tokens=20)])[0].samples
    assert sample.text == "a\ufffd b \U0001f600"
    sample.text.encode()


def test_half_of_a_surrogate_pair_in_a_prompt_is_refused_at_once() -> None:
    with changed(tokenizer="server") as (model, server):
        asked = server.asked
        with pytest.raises(IclError, match="surrogate"):
            model.generate([GenerateRequest("a\ud83d", max_tokens=2)])
        assert server.asked == asked


@pytest.mark.parametrize("asked", ["86400", "inf", "1e300"])
def test_a_server_that_asks_to_wait_for_hours_ends_the_session(asked: str) -> None:
    with changed() as (model, server):
        server.first = Answered.refused(429, "daily limit", Retry_After=asked)
        with pytest.raises(IclError, match="asks to wait") as ended:
            model.generate([GenerateRequest("Is it?", max_tokens=2)])
    assert "daily limit" in str(ended.value)


@pytest.mark.parametrize("asked", ["nan", "-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_makes_no_sense_is_not_waited_for(asked: str) -> None:
    with changed() as (model, server):
        server.first = Answered.refused(429, "later", Retry_After=asked)
        assert len(model.generate([GenerateRequest("Is it?", max_tokens=2)])) == 1
        assert server.asked >= 2


def test_a_long_wait_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SAID_FROM", 0.2)
    with changed() as (model, server), caplog.at_level(logging.WARNING, "icl"):
        server.first = Answered.refused(429, "later", Retry_After="0.3")
        model.generate([GenerateRequest("Is it?", max_tokens=2)])
    assert sum("asks to wait" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("tail", ["\nX-Evil: 1", "\u00fc", "\x01"], ids=["line", "letter", "control"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(
    tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}{tail}end")
    with pytest.raises(IclError, match="MY_KEY") as refused:
        opened("http://127.0.0.1:9", api_key_env="MY_KEY")
    assert KEY not in str(refused.value)
    assert KEY not in repr(refused.value.__cause__) + repr(refused.value.__context__)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:80 81", "http://127.0.0.1:x"],
)
def test_an_address_that_cannot_be_is_refused_before_anything_connects(address: str) -> None:
    with pytest.raises(IclError, match="base_url"):
        opened(address)


def test_what_a_lost_answer_may_have_cost_counts() -> None:
    """A provider bills what it wrote, whether or not it came through."""
    with changed(budget={"tokens": 10_000}) as (model, server):
        client: Client = model.client
        before = client.budget.read + client.budget.written
        server.first = Answered(200, b"<html>", {"Content-Type": "application/json"})
        model.generate([GenerateRequest("Is it?", max_tokens=7)])
        after = client.budget.read + client.budget.written
    assert after - before == 2 * (len("Is it?") + 7)


def test_requests_that_keep_failing_are_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    proxy = Proxy(made_up(), Faults({"500": 1.0}))
    with Loopback(proxy) as server, pytest.raises(IclError, match="500"):
        opened(server.url, retries=5).generate([GenerateRequest("a", max_tokens=1)])
    assert [r.message for r in caplog.records if "goes on trying" in r.message] == [
        f"{server.url}/v1: answers 500 (the server had an error); tried 3 times, goes on trying"
    ]
