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

from icl.errors import ContextOverflow, ModelError
from icl.protocols import Tokenizer
from icl.types import ScoreRequest, Text, TokenIds


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


def encode_scores(tokenizer: Tokenizer, requests: Sequence[ScoreRequest]) -> list[EncodedScore]:
    """Each request in ids. A prompt given as ids takes continuations as ids or as text; a prompt
    given as text takes continuations as text.

    Raises ModelError, naming the request, for an empty prompt or continuation.
    """
    texts: list[Text] = []
    for index, request in enumerate(requests):
        if not request.continuations:
            raise ModelError(f"score request {index} has no continuation")
        texts.append(request.prompt)
        for continuation in request.continuations:
            if len(continuation) == 0:
                raise ModelError(f"score request {index} has an empty continuation")
            if isinstance(request.prompt, str) and isinstance(continuation, str):
                texts.append(request.prompt + continuation)
            elif isinstance(request.prompt, str):
                raise ModelError(f"score request {index}: a prompt as text needs continuations as text")
            else:
                texts.append(continuation)
    encoded = iter(encode_texts(tokenizer, texts))
    result = []
    for index, request in enumerate(requests):
        prompt = next(encoded)
        rest = [next(encoded) for _ in request.continuations]
        if isinstance(request.prompt, str):
            boundary = min(_common(prompt, whole) for whole in rest)
            boundary = min(boundary, min(len(whole) for whole in rest) - 1)
            prompt, rest = rest[0][:boundary], [whole[boundary:] for whole in rest]
        if not prompt:
            raise ModelError(
                f"score request {index}: the prompt has no token of its own before the continuation; "
                "give it an instruction or a beginning-of-sequence token"
            )
        single = request.relative and all(len(c) == 1 for c in rest)
        result.append(EncodedScore(prompt, tuple(rest), single))
    return result


def check_length(index: int, tokens: int, context_length: int, name: str) -> None:
    """Raises ContextOverflow naming the request and both lengths."""
    if tokens > context_length:
        raise ContextOverflow(
            f"request {index} has {tokens} tokens; the context of {name} holds {context_length}. "
            "Use fewer or shorter demonstrations, or prompt: {overflow: drop}"
        )


def relative_to_another(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Log-probabilities of single tokens, normalised over themselves."""
    values = np.array([row[0] for row in rows])
    peak = values.max()
    return [(float(v),) for v in values - peak - np.log(np.exp(values - peak).sum())]
