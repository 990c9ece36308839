"""Options are checked when the model is made, and nothing connects."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

import icl
from icl.backends import BACKENDS, essential
from icl.backends.openai import settings
from icl.backends.openai.model import OpenAIModel
from icl.errors import ConfigError
from tests.backends.conftest import opened

DOCS = Path(icl.__file__).parents[1] / "docs" / "backends.md"
NOWHERE = "http://127.0.0.1:9/v1"


def made(**options):
    return BACKENDS.create("openai", {"model": "m", "base_url": NOWHERE, **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": " "}, "model is ' '; allowed: a text"),
        ({"base_url": "localhost:8000"}, "base_url is 'localhost:8000'; allowed: http(s)://HOST"),
        ({"base_url": "http://"}, "base_url is 'http://'"),
        ({"base_ur": NOWHERE}, "has no parameter 'base_ur'. Did you mean 'base_url'"),
        ({"api_key": "sk-1"}, "has no parameter 'api_key'. Did you mean 'api_key_env'"),
        ({"concurrency": 0}, "concurrency is 0; allowed: a whole number from 1 to 1024"),
        ({"concurrency": True}, "concurrency is True"),
        ({"retries": -1}, "retries is -1; allowed: a whole number from 0 to 100"),
        ({"timeout": 0}, "timeout is 0; allowed: seconds, more than 0"),
        ({"deadline": "1h"}, "deadline is '1h'"),
        ({"context_length": 4}, "context_length is 4; allowed: a whole number from 8"),
        ({"scoring": "topk"}, "unknown scoring 'topk'. Did you mean 'top_k'"),
        ({"endpoint": "chats"}, "unknown endpoint 'chats'. Did you mean 'chat'"),
        ({"samples": "n"}, "unknown samples 'n'"),
        ({"budget": {"tokens": 0}}, "budget.tokens is 0"),
        ({"api_key_env": "NOT_THERE"}, "the environment variable NOT_THERE is not set"),
        ({"base_url": settings.HOSTED}, "the environment variable OPENAI_API_KEY is not set"),
    ],
)
def test_what_cannot_be_is_said_before_anything_connects(options, words):
    with pytest.raises(ConfigError) as caught:
        made(**options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key_env": "sk-secret-1"},
        {"base_url": "http://me:sk-secret-1@host/v1"},
        {"base_url": "http://host/v1?key=sk-secret-1"},
    ],
)
def test_a_key_in_an_option_is_refused_and_not_repeated(options):
    with pytest.raises(ConfigError) as caught:
        made(**options)
    assert "environment" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_without_the_package_the_pip_line_is_said(monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'icl[openai]'")):
        made()


def test_how_it_is_asked_is_no_part_of_the_model():
    given = {"model": "m", "base_url": NOWHERE, "concurrency": 3, "budget": {"tokens": 5}, "scoring": "top_k"}
    assert essential("openai", given) == {"model": "m", "scoring": "top_k"}
    assert essential("fake", {"name": "x"}) == {"name": "x"}


def test_every_option_is_in_the_docs():
    told = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(inspect.signature(OpenAIModel).parameters) <= told
    ways = {"token_ids", "forced", "echo", "prompt_logprobs", "top_k", "choice"}
    assert ways <= told


def test_the_fingerprint_is_another_where_an_answer_may_be(started):
    server, other = started(), started()
    first = opened(server)
    assert first.fingerprint == opened(server, concurrency=1, timeout=5.0).fingerprint
    different = [
        opened(other),
        opened(server, scoring="top_k"),
        opened(server, endpoint="chat"),
        opened(server, identity="mine"),
    ]
    assert len({first.fingerprint, *(model.fingerprint for model in different)}) == 5
    assert opened(server, identity="mine").fingerprint == opened(other, identity="mine").fingerprint


def test_what_the_server_says_of_its_weights_is_in_the_fingerprint(started, monkeypatch):
    server = started()
    first = opened(server).fingerprint
    answer = server.answer

    def changed(path, body):
        found = answer(path, body)
        if path == "/v1/models":
            found["data"][0]["meta"] = {"n_params": 5, "n_ctx": 4096}
        return found

    monkeypatch.setattr(server, "answer", changed)
    assert opened(server).fingerprint != first


def test_nothing_with_a_key_crosses_to_another_process(started):
    model = opened(started())
    model.found  # noqa: B018
    with pytest.raises(TypeError, match="holds a key"):
        pickle.dumps(model)
