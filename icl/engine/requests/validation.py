"""What a request may say, checked in one place for every rung and the fake model, before anything runs.

Each message names the request by its index, the field, its value and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import NoReturn

import numpy as np

from icl.errors import ContextOverflow, RequestError
from icl.thinking import pairs_of
from icl.types import GenerateRequest, ScoreRequest, Text, TokenIds

LARGEST = 2**63 - 1
"""Of seeds, sample numbers and counts."""
LEAST_CONTEXT = 8
"""Tokens that any context has room for: the engines are probed with texts of so many."""
QUOTED = 60
"""Characters of a value that a message repeats."""


def refuse(which: str, field: str, value: object, allowed: str) -> NoReturn:
    """Raises RequestError."""
    said = repr(value)
    said = said if len(said) <= QUOTED else f"{said[:QUOTED]}..."
    raise RequestError(f"{which}: {field} is {said}; allowed: {allowed}")


def check_scores(requests: Sequence[ScoreRequest]) -> None:
    """Raises RequestError for the first request that says what cannot be scored; token ids are checked
    against the vocabulary once they are known (`check_tokens`)."""
    for index, request in enumerate(requests):
        which = f"score request {index}"
        check_text(which, "the prompt", request.prompt)
        if not isinstance(request.continuations, tuple | list):
            refuse(which, "continuations", request.continuations, "a tuple of texts or of token ids")
        if not request.continuations:
            raise RequestError(f"{which} has no continuation")
        for number, continuation in enumerate(request.continuations):
            check_text(which, f"continuation {number}", continuation)
            if len(continuation) == 0:
                raise RequestError(f"{which} has an empty continuation (number {number})")
            if isinstance(request.prompt, str) and not isinstance(continuation, str):
                raise RequestError(f"{which}: a prompt as text needs continuations as text")
        _flag(which, "relative", request.relative)


def check_generations(requests: Sequence[GenerateRequest]) -> None:
    """Raises RequestError for the first request whose settings draw nothing, or nothing that is meant."""
    for index, request in enumerate(requests):
        which = f"generate request {index}"
        check_text(which, "the prompt", request.prompt)
        _whole(which, "n", request.n, 1)
        _whole(which, "max_tokens", request.max_tokens, 1)
        _real(which, "temperature", request.temperature, "a finite number >= 0", low=0.0)
        _whole(which, "top_k", request.top_k, 0)
        _real(which, "top_p", request.top_p, "a number above 0, at most 1", above=0.0, high=1.0)
        for name in ("presence_penalty", "frequency_penalty"):
            _real(which, name, getattr(request, name), "a number from -2 to 2", low=-2.0, high=2.0)
        _whole(which, "seed", request.seed, -LARGEST - 1)
        _whole(which, "first_sample", request.first_sample, 0)
        _whole(which, "no_repeat_ngram", request.no_repeat_ngram, 0)
        _flag(which, "ignore_eos", request.ignore_eos)
        _flag(which, "continued", request.continued)
        if isinstance(request.template_ids, str) or not _ids(request.template_ids):
            refuse(which, "template_ids", request.template_ids, "token ids")
        if not isinstance(request.stop, tuple | list):
            refuse(which, "stop", request.stop, "a tuple of texts")
        for text in request.stop:
            if not isinstance(text, str) or not text:
                refuse(which, "a stop string", text, "a text of at least one character")
        try:
            pairs_of(request.think)
        except ValueError:
            refuse(which, "think", request.think, "pairs of an opening and a closing mark")


def check_text(which: str, what: str, text: Text) -> None:
    """Raises RequestError unless `text` is a text or token ids."""
    if not isinstance(text, str) and not _ids(text):
        refuse(which, what, text, "a text or token ids")


def _ids(value: object) -> bool:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, bytes):
        return False
    if len(value) == 0:
        return True
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged
        return False
    return array.ndim == 1 and (array.dtype.kind in "iu" or _too_large(array))


def _too_large(array: np.ndarray) -> bool:
    """Integers beyond 64 bits: ids all the same, of no vocabulary."""
    return array.dtype.kind == "O" and all(isinstance(item, int) for item in array)


def check_tokens(which: str, what: str, text: Text, ids: TokenIds, vocabulary: int) -> None:
    """Raises RequestError unless all `ids` of `text` are in 0 .. vocabulary - 1."""
    if not ids or (min(ids) >= 0 and max(ids) < vocabulary):
        return
    at = next(i for i, token in enumerate(ids) if not 0 <= token < vocabulary)
    if isinstance(text, str):
        raise RequestError(
            f"{which}: {what} has token {ids[at]} by the tokenizer, but the model's vocabulary ends at "
            f"{vocabulary - 1}: they do not belong together"
        )
    refuse(which, f"token {at} of {what}", ids[at], f"0 to {vocabulary - 1}, the model's vocabulary")


def check_length(which: str, tokens: int, context_length: int, name: str) -> None:
    """Raises ContextOverflow naming the request and both lengths."""
    if tokens > context_length:
        raise ContextOverflow(
            f"{which} has {tokens} tokens; the context of {name} holds {context_length}. "
            "Use fewer or shorter demonstrations, or prompt: {overflow: drop}"
        )


def _whole(which: str, field: str, value: object, low: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= LARGEST:
        bound = f">= {low}" if low >= 0 else "of 64 bits"
        refuse(which, field, value, f"an integer {bound}")


def _real(
    which: str,
    field: str,
    value: object,
    allowed: str,
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    high: float = math.inf,
) -> None:
    good = isinstance(value, Real) and not isinstance(value, bool)
    if good:
        number = float(value)  # type: ignore[arg-type]
        good = math.isfinite(number) and low <= number <= high and number > above
    if not good:
        refuse(which, field, value, allowed)


def _flag(which: str, field: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        refuse(which, field, value, "true, false")
