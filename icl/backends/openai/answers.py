"""What a server sends back, read into one form. Servers answer one question in several shapes:
log-probabilities of completions come as OpenAI's parallel lists, or as those of its chat (llama.cpp), with
token ids (vLLM, llama.cpp), as "token_id:123" (vLLM), or as text alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from icl.types import TokenIds

ROUNDING = 1e-3
"""Log-probabilities of what is all but certain may be rounded to a little more than 0."""


class Garbled(Exception):
    """An answer that is none: it is asked again."""


class OtherApi(Garbled):
    """An answer of llama.cpp's own API, beside OpenAI's: there it is always the same."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A token and its log-probability; `id` and `text` as far as the server says them."""

    id: int | None
    text: str | None
    logprob: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One position: the token that stands there, and the most likely ones, most likely first."""

    token: Entry
    top: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One text of an answer."""

    text: str
    finish: str
    """stop, length, or another word of the server; "" where it says none."""
    stopped_by: str | None = None
    steps: tuple[Step, ...] = ()
    """Of the tokens written, with `echo` also of the prompt; () without log-probabilities."""
    ids: TokenIds | None = None
    prompt: Sequence[Mapping[str, Any] | None] | None = None
    """vLLM's prompt_logprobs: a position's id -> {logprob: ...}; None at the first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a whole. `read`, `written`, `cached`: tokens by the server's account; None: it keeps
    none."""

    choices: tuple[Choice, ...]
    read: int | None = None
    written: int | None = None
    cached: int = 0

    def without(self, begun: str) -> Answer:
        """The same, each text without what it was told to begin with."""
        return replace(self, choices=tuple(replace(c, text=c.text.removeprefix(begun)) for c in self.choices))


def read_answer(body: object) -> Answer:
    """Raises Garbled for what is no answer of OpenAI's API."""
    if not isinstance(body, Mapping):
        raise Garbled(f"an answer that is no JSON object but {type(body).__name__}")
    if body.get("error"):
        raise Garbled(f"an error in place of an answer: {error_text(body)}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        if {"content", "tokens_predicted"} <= body.keys():
            raise OtherApi("answers by llama.cpp's own API, not by OpenAI's: let base_url end in /v1")
        raise Garbled("an answer without choices")
    found = tuple(_choice(one) for one in sorted(choices, key=_index))
    read, written, cached = _usage(body.get("usage"))
    return Answer(found, read, written, cached)


def error_text(body: object) -> str:
    """The words of an error, wherever a server puts them."""
    held = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(held, Mapping):
        held = held.get("message") or held.get("detail") or held.get("error") or dict(held)
    return " ".join(str(held).split())[:300]


def _index(choice: object) -> int:
    at = choice.get("index") if isinstance(choice, Mapping) else 0
    return at if isinstance(at, int) else 0


def _choice(choice: object) -> Choice:
    if not isinstance(choice, Mapping):
        raise Garbled("a choice that is no JSON object")
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    if text is None and isinstance(message, Mapping):
        text = ""
    if not isinstance(text, str):
        raise Garbled("a choice without a text")
    ids = choice.get("token_ids")
    stopped_by = choice.get("stop_reason")
    return Choice(
        # half of a surrogate pair, which JSON can spell and no file can hold
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        str(choice.get("finish_reason") or ""),
        stopped_by if isinstance(stopped_by, str) else None,
        _steps(choice.get("logprobs")),
        tuple(ids) if isinstance(ids, list) and all(type(i) is int for i in ids) else None,
        choice.get("prompt_logprobs"),
    )


def _steps(logprobs: object) -> tuple[Step, ...]:
    if not isinstance(logprobs, Mapping):
        return ()
    content = logprobs.get("content")
    if isinstance(content, list):  # the chat's shape
        return tuple(
            Step(_chat_entry(one), _ranked([_chat_entry(top) for top in one.get("top_logprobs") or ()]))
            for one in content
            if isinstance(one, Mapping)
        )
    tokens, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return ()
    tops = logprobs.get("top_logprobs")
    if not isinstance(tops, list) or len(tops) != len(tokens):
        tops = [None] * len(tokens)
    return tuple(
        Step(_named(token, value), _top(top)) for token, value, top in zip(tokens, values, tops, strict=True)
    )


def _top(top: object) -> tuple[Entry, ...]:
    if not isinstance(top, Mapping):
        return ()
    return _ranked([_named(token, value) for token, value in top.items()])


def _ranked(entries: list[Entry]) -> tuple[Entry, ...]:
    """Most likely first: vLLM begins with the token that was drawn."""
    return tuple(sorted(entries, key=lambda entry: math.inf if entry.logprob is None else -entry.logprob))


def _chat_entry(one: Mapping[str, Any]) -> Entry:
    named = _named(one.get("token"), one.get("logprob"))
    given, data = one.get("id"), one.get("bytes")
    text = named.text
    if isinstance(data, list) and data and named.id is None:
        try:
            text = bytes(data).decode()
        except (ValueError, TypeError):  # a part of a character
            text = None
    return Entry(given if type(given) is int else named.id, text, named.logprob)


def _named(token: object, value: object) -> Entry:
    """A token by its text, or by "token_id:123"."""
    logprob = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if logprob is not None and not -math.inf < logprob < ROUNDING:
        logprob = None  # nan, infinite, or no logarithm of a probability
    if isinstance(token, str) and token.startswith("token_id:") and token[9:].isdigit():
        return Entry(int(token[9:]), None, logprob)
    return Entry(None, token if isinstance(token, str) else None, logprob)


def _usage(usage: object) -> tuple[int | None, int | None, int]:
    if not isinstance(usage, Mapping):
        return None, None, 0
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else 0
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (
        read if type(read) is int else None,
        written if type(written) is int else None,
        cached if type(cached) is int else 0,
    )
