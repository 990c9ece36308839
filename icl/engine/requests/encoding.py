"""Requests as token ids, with the boundary between prompt and continuation put where it is exact.

tok(prompt + continuation) need not start with tok(prompt): a tokenizer may merge across the
boundary. The whole string is therefore tokenised at once, and scoring starts at the last token
boundary that the prompt shares with *every* continuation of the request, so that all of them
are scored from the same point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.engine.requests.validation import check_generations, check_length, check_scores, check_tokens
from icl.errors import RequestError
from icl.protocols import Tokenizer
from icl.types import GenerateRequest, ScoreRequest, Text, TokenIds


@dataclass(frozen=True, slots=True)
class EncodedScore:
    """A score request in ids: every sequence is `prompt + continuation`."""

    prompt: TokenIds
    continuations: tuple[TokenIds, ...]
    relative: bool = False
    """Every continuation is one token, and they are compared with one another only."""

    @property
    def flat(self) -> int:
        """Tokens a plain engine forwards; the last of each sequence predicts nothing that is asked."""
        return sum(len(self.prompt) + len(c) - 1 for c in self.continuations)


def encode_texts(tokenizer: Tokenizer, texts: Sequence[Text]) -> list[TokenIds]:
    """Ids of each text; ids pass through. Strings go to the tokenizer in one call."""
    strings = list(dict.fromkeys(t for t in texts if isinstance(t, str)))
    many = getattr(tokenizer, "encode_many", None)
    ids = many(strings) if many is not None else [tokenizer.encode(s) for s in strings]
    known = dict(zip(strings, ids, strict=True))
    return [known[t] if isinstance(t, str) else tuple(t) for t in texts]


def _common(a: TokenIds, b: TokenIds) -> int:
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    return next(i for i in range(limit) if a[i] != b[i])


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model takes: `vocabulary` ids, `context_length` tokens in a text; `name` for the messages."""

    vocabulary: int
    context_length: int
    name: str


def encode_prompts(
    tokenizer: Tokenizer, requests: Sequence[GenerateRequest], limits: Limits | None = None
) -> list[TokenIds]:
    """The prompt of each request in ids.

    Raises RequestError and ContextOverflow, naming the request, for what cannot be generated.
    """
    check_generations(requests)
    prompts = encode_texts(tokenizer, [r.prompt for r in requests])
    for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
        which = f"generate request {index}"
        if not prompt:
            raise RequestError(f"{which} has an empty prompt")
        if limits is not None:
            check_tokens(which, "the prompt", request.prompt, prompt, limits.vocabulary)
            form = tuple(request.template_ids)
            check_tokens(which, "template_ids", form, form, limits.vocabulary)
            check_length(which, len(prompt) + request.max_tokens, limits.context_length, limits.name)
    return prompts


def encode_scores(
    tokenizer: Tokenizer, requests: Sequence[ScoreRequest], limits: Limits | None = None
) -> list[EncodedScore]:
    """Each request in ids. A prompt given as ids takes continuations as ids or as text; a prompt
    given as text takes continuations as text.

    Raises RequestError and ContextOverflow, naming the request, for what cannot be scored.
    """
    check_scores(requests)
    texts: list[Text] = []
    for request in requests:
        texts.append(request.prompt)
        for continuation in request.continuations:
            both = isinstance(request.prompt, str) and isinstance(continuation, str)
            texts.append(request.prompt + continuation if both else continuation)  # type: ignore[operator]
    encoded = iter(encode_texts(tokenizer, texts))
    result = []
    for index, request in enumerate(requests):
        prompt = next(encoded)
        rest = [next(encoded) for _ in request.continuations]
        if isinstance(request.prompt, str):
            boundary = min(_common(prompt, whole) for whole in rest)
            boundary = min(boundary, min(len(whole) for whole in rest) - 1)
            prompt, rest = rest[0][:boundary], [whole[boundary:] for whole in rest]
        which = f"score request {index}"
        if not prompt:
            raise RequestError(
                f"{which}: the prompt has no token of its own before the continuation; "
                "give it an instruction or a beginning-of-sequence token"
            )
        if limits is not None:
            _check(which, request, prompt, rest, limits)
        single = request.relative and all(len(c) == 1 for c in rest)
        result.append(EncodedScore(prompt, tuple(rest), single))
    return result


def _check(
    which: str, request: ScoreRequest, prompt: TokenIds, rest: Sequence[TokenIds], limits: Limits
) -> None:
    check_tokens(which, "the prompt", request.prompt, prompt, limits.vocabulary)
    for number, (text, ids) in enumerate(zip(request.continuations, rest, strict=True)):
        if not ids:
            raise RequestError(f"{which}: continuation {number} has no token")
        check_tokens(which, f"continuation {number}", text, ids, limits.vocabulary)
    longest = len(prompt) + max(len(ids) for ids in rest)
    check_length(which, longest, limits.context_length, limits.name)


def relative_to_another(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Log-probabilities of single tokens, normalised over themselves."""
    values = np.array([row[0] for row in rows])
    peak = values.max()
    return [(float(v),) for v in values - peak - np.log(np.exp(values - peak).sum())]
