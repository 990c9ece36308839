"""The tokenizer of a server by its own calls, and the marks by which a chat is written down."""

from __future__ import annotations

import pytest

from icl.backends.openai.tokenizer import LAST, messages_of
from icl.errors import ModelError
from tests.backends.conftest import opened


def test_the_servers_own_calls(started):
    server = started()
    tokenizer = opened(server, tokenizer="server").tokenizer
    assert tokenizer.encode("naïve 中") == tuple("naïve 中".encode())
    assert tokenizer.decode(tokenizer.encode("naïve 中")) == "naïve 中"
    assert tokenizer.encode_many(["a", "bc", "a", ""]) == [(97,), (98, 99), (97,), ()]
    body = next(body for path, body in server.asked if path == "/tokenize")
    assert (body["parse_special"], body["add_special"]) == (True, True)


def test_a_text_is_asked_for_once(started):
    server = started()
    tokenizer = opened(server, tokenizer="server").tokenizer
    first = tokenizer.encode("again and again")
    asked = len(server.asked)
    assert tokenizer.encode("again and again") == first
    assert tokenizer.encode_many(["again and again"]) == [first]
    assert len(server.asked) == asked


def test_what_the_server_puts_before_a_text_is_there_once(started, monkeypatch):
    """A BOS, also where the text has it already."""
    server = started(extra_tokens=1)
    answer = server.answer

    def with_bos(path, body):
        found = answer(path, body)
        if path == "/tokenize" and body["add_special"]:
            found["tokens"] = [1, *found["tokens"]]
        return found

    monkeypatch.setattr(server, "answer", with_bos)
    tokenizer = opened(server, tokenizer="server").tokenizer
    assert tokenizer.encode("ab") == (1, 97, 98)
    assert tokenizer.encode("\x01ab") == (1, 97, 98)
    assert tokenizer.encode("") == (1,)


def test_the_template_of_the_server(started):
    tokenizer = opened(started(), tokenizer="server", endpoint="completions").tokenizer
    assert tokenizer.chat([{"role": "user", "content": "Hi"}]) == "<user>Hi</user><assistant>"


def test_without_such_calls_another_tokenizer_is_asked_for(started):
    with pytest.raises(
        ModelError, match=r"does not tokenise .*Give the model's tokenizer: a hub id or a path"
    ):
        opened(started(tokenize=False), tokenizer="server").tokenizer  # noqa: B018


def test_the_fingerprint_tells_tokenizers_apart(started, monkeypatch):
    server = started()
    first = opened(server, tokenizer="server").tokenizer.fingerprint
    answer = server.answer
    changed = lambda path, body: (  # noqa: E731
        {"tokens": [t + 1 for t in answer(path, body)["tokens"]]}
        if path == "/tokenize"
        else answer(path, body)
    )
    monkeypatch.setattr(server, "answer", changed)
    assert opened(server, tokenizer="server").tokenizer.fingerprint != first


@pytest.mark.parametrize(
    ("text", "messages", "begun"),
    [
        ("plain", [{"role": "user", "content": "plain"}], ""),
        ("⟪user⟫a\nb⟪/user⟫\n" + LAST, [{"role": "user", "content": "a\nb"}], ""),
        (
            "⟪system⟫s⟪/system⟫\n⟪user⟫a⟪/user⟫\n⟪assistant⟫b⟪/assistant⟫\n⟪user⟫c⟪/user⟫\n" + LAST + "Well",
            [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ],
            "Well",
        ),
        ("⟪user⟫no end", [{"role": "user", "content": "⟪user⟫no end"}], ""),
    ],
)
def test_marked_texts_are_read_back(text, messages, begun):
    assert messages_of(text) == (messages, begun)
