"""What goes wrong on the way: tried again or said in one line, nothing lost or twice, no key anywhere."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from icl.backends.openai import client as clients
from icl.backends.openai.faults import retry_after
from icl.backends.openai.model import OpenAIModel
from icl.errors import ConfigError, ContextOverflow, IclError, ModelError
from icl.types import GenerateRequest, ScoreRequest
from tests.backends.conftest import opened
from tests.backends.server import Refusal, logprob

FAULTS = ("500", "429", "garbage", "shape", "cut", "drop", "slow", "408", "503")
KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "FIRST_PAUSE", 0.01)


def requests(count: int) -> list[ScoreRequest]:
    return [ScoreRequest(f"Number {number} is ", ("odd", "even")) for number in range(count)]


def broken(model, server, faults: str | dict[int, str]) -> None:
    """From now on: the first request for text has the fault, or those that are numbered."""
    model.found  # noqa: B018
    begun = sum(path.endswith("/completions") for path, _ in server.asked)
    held = {0: faults} if isinstance(faults, str) else faults
    server.does.fault = lambda number: held.get(number - begun, "")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_tried_again(started, fault):
    server = started()
    model = opened(
        server, timeout=0.5 if fault == "slow" else 30.0, concurrency=1, scoring="token_ids", retries=20
    )
    broken(model, server, fault)
    before = model.client.retried
    (scores,) = model.score(requests(1)[:1])
    assert scores.logprobs == pytest.approx([logprob("Number 0 is ", label) for label in ("odd", "even")])
    again = model.client.retried - before
    assert again == 1 or (fault == "slow" and again > 1)  # a busy machine may be late once more


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_end_is_said_in_one_line(started, fault):
    server = started()
    model = opened(server, timeout=0.3, retries=1)
    broken(model, server, dict.fromkeys(range(100), fault))
    with pytest.raises(ModelError) as caught:
        model.score(requests(1))
    said = str(caught.value)
    assert server.url in said
    assert "(2 tries). What came back is kept; the same command goes on" in said
    assert "\n" not in said


def test_a_storm_is_survived_and_nothing_is_lost_or_doubled(started):
    """Every fifth request for text has a fault of some kind; results come once each, and right."""
    server = started()
    model = opened(server, concurrency=8, retries=8, scoring="token_ids", timeout=0.5)
    broken(model, server, {n: FAULTS[n // 5 % len(FAULTS)] for n in range(0, 1000, 5)})
    answered = server.answered
    came: Counter[int] = Counter()
    found = model.score(requests(60), lambda index, scores: came.update([index]))
    assert came == Counter(range(60))
    for request, scores in zip(requests(60), found, strict=True):
        assert scores.logprobs[0] == pytest.approx(logprob(request.prompt, "odd"), abs=1e-6)
    assert model.client.retried > 20
    assert server.answered - answered >= 60
    assert server.most_at_once <= 8


def test_what_came_back_before_an_error_is_kept(started):
    server = started()
    model = opened(server, concurrency=1, retries=0, scoring="echo")
    broken(model, server, {5: "500"})
    came = []
    with pytest.raises(ModelError, match="answers 500"):
        model.score(requests(10), lambda index, scores: came.append(index))
    assert came == [0, 1]  # two texts a request: the sixth is of the third


def test_retry_after_is_honoured(started):
    server = started(retry_after="0.7")
    model = opened(server, scoring="token_ids")
    broken(model, server, "429")
    began = time.monotonic()
    model.score([ScoreRequest("x", ("a", "b"))])
    assert time.monotonic() - began >= 0.7


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_forms_of_retry_after(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_deadline_ends_the_session(started):
    server = started()
    model = opened(server, deadline=60)
    model.found  # noqa: B018
    model.client._until = time.monotonic() - 1
    with pytest.raises(ModelError, match=r"the deadline of 60 s for a session has passed\. What came"):
        model.score(requests(1))


def test_concurrency_is_a_limit_and_is_used(started):
    server = started()
    model = opened(server, concurrency=3, scoring="token_ids")
    model.found  # noqa: B018
    server.does.fault = lambda number: "slow" if number % 4 == 0 else ""
    server.most_open = 0
    model.score(requests(12))
    assert server.most_open == 3


def test_no_server(started):
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1: no connection.*Is the server up"):
        opened(started(), base_url="http://127.0.0.1:9/v1", retries=0).found  # noqa: B018


def test_a_server_that_was_never_there_is_given_up_soon(started):
    """One that has answered is waited for."""
    with pytest.raises(ModelError, match=r"\(3 tries\)"):
        opened(started(), base_url="http://127.0.0.1:9/v1", retries=20).found  # noqa: B018
    server = started()
    model = opened(server, retries=4)
    model.found  # noqa: B018
    model.client._client = None
    object.__setattr__(model.settings, "base_url", "http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match=r"\(5 tries\)"):
        model.score(requests(1))


def test_a_wrong_model_is_named_with_those_that_there_are(started):
    server = started()
    model = OpenAIModel("tinny", base_url=server.url, tokenizer="fake")
    with pytest.raises(ModelError, match=r"unknown model 'tinny'. Did you mean 'tiny'"):
        model.found  # noqa: B018


def test_a_wrong_path_and_another_tokenizer(started):
    server = started()
    with pytest.raises(ModelError, match="is base_url right"):
        opened(server, base_url=server.url + "/v2").found  # noqa: B018
    with pytest.raises(ModelError, match=r"the tokenizer 'fake' is not the model's.*tokens by it and"):
        opened(started(extra_tokens=1)).found  # noqa: B018


def test_an_address_without_v1_at_llama_cpp_is_said_at_once(started):
    """Its own API answers there, 200 and without choices."""
    server = started()
    server.does.fault = lambda number: "llama.cpp"
    with pytest.raises(ModelError, match=r"answers by llama.cpp's own API.*let base_url end in /v1"):
        opened(server, retries=8).found  # noqa: B018
    assert sum(path.endswith("/completions") for path, _ in server.asked) == 1


def test_a_context_that_only_the_server_knows_to_be_too_short(started):
    server = started()
    model = opened(server)
    model.found  # noqa: B018
    server.does.context = 20
    with pytest.raises(ContextOverflow, match=r"too long for the server.*maximum context length is 20"):
        model.generate([GenerateRequest("x" * 30, max_tokens=5)])


def test_a_context_length_is_wanted_and_checked(started):
    assert opened(started(context=300), context_length=200).context_length == 200
    with pytest.raises(ConfigError, match="context_length is 400; the server's is 300"):
        opened(started(context=300), context_length=400).context_length  # noqa: B018
    with pytest.raises(ConfigError, match="does not say how long its context is; give context_length"):
        opened(started(context=None)).context_length  # noqa: B018


def test_the_key_is_used_and_never_shown(started, monkeypatch, caplog):
    """Right, wrong and missing; in logs of every library, errors, reprs, fingerprints."""
    caplog.set_level(0)
    server = started(key=KEY)
    monkeypatch.setenv("MY_KEY", KEY)
    model = opened(server, api_key_env="MY_KEY")
    model.score(requests(2))
    assert any(h.get("authorization") == f"Bearer {KEY}" for h in server.headers)
    shown = [
        repr(model),
        repr(model.client),
        repr(model.settings),
        model.engine,
        model.fingerprint,
        model.name,
    ]
    monkeypatch.setenv("MY_KEY", KEY + "-wrong")
    with pytest.raises(ModelError, match=r"refuses the key in .* MY_KEY \(401\)") as caught:
        opened(server, api_key_env="MY_KEY", endpoint="chat").found  # noqa: B018
    shown.append(str(caught.value))
    with pytest.raises(ModelError, match=r"finds none in the environment variable OPENAI_API_KEY") as caught:
        opened(server, endpoint="chat").found  # noqa: B018
    shown.append(str(caught.value))
    monkeypatch.setenv("MY_KEY", KEY)
    server.does.fault = lambda number: "500"
    monkeypatch.setattr(server.does, "retry_after", KEY)
    with pytest.raises(IclError) as caught:
        opened(server, api_key_env="MY_KEY", retries=0, endpoint="completions").found  # noqa: B018
    shown.append(str(caught.value))
    for text in (*shown, caplog.text):
        assert "sk-secret" not in text


def test_words_of_the_server_that_hold_the_key_are_cleaned(started, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    server = started(key=KEY)
    model = opened(server, api_key_env="MY_KEY", retries=0)
    model.found  # noqa: B018

    def told(path, body):
        raise Refusal(400, f"not with {KEY}\n here")

    monkeypatch.setattr(server, "answer", told)
    with pytest.raises(ModelError, match=r"not with \*\*\* here") as caught:
        model.score(requests(1))
    assert KEY not in str(caught.value)
