"""Continuations scored by vLLM, which gives log-probabilities at two places only.

*After a text*, of up to 128 tokens that are named (`logprob_token_ids`): such requests read the prefix cache.
*Inside a text*, of its own tokens (`prompt_logprobs`): vLLM skips its cache for these and forwards all of it.

Labels of one token take one request a prompt. Longer continuations either take a request for every place at
which they may go on (prompt, prompt + first token, ...), which find the prompt in the cache but for what does
not fill a block, or one a continuation as a whole, without the cache: whichever forwards less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icl.engine.requests.encoding import EncodedScore, relative_to_another
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.types import TokenIds

MOST_NAMED = 128
"""Tokens that a request may name (MAX_LOGPROB_TOKEN_IDS of vLLM)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to vLLM: the log-probabilities of `named` after `ids`; whole: of the ids, too."""

    ids: TokenIds
    named: TokenIds
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What came back: token -> log-probability after the text, and of each token in it (None: the first)."""

    after: Mapping[int, float]
    inside: Sequence[float | None] = ()
    forwarded: int = 0
    """Tokens that were not in the cache."""


def uncached(length: int, shared: int, block: int) -> int:
    """Tokens that vLLM forwards of a text of which `shared` have been forwarded before: whole blocks are in
    its cache, and the last token is always forwarded."""
    return length - min(shared, length - 1) // block * block


def asks_for(encoded: EncodedScore, block: int) -> list[Ask]:
    """The requests that score it, by places or as a whole. block: tokens of a block of the prefix cache."""
    places: dict[TokenIds, dict[int, None]] = {}
    wholes: dict[TokenIds, dict[int, None]] = {}
    for continuation in encoded.continuations:
        for at, token in enumerate(continuation):
            places.setdefault(continuation[:at], {})[token] = None
        wholes.setdefault(continuation[:-1], {})[continuation[-1]] = None
    prompt = len(encoded.prompt)
    by_places = sum(
        uncached(prompt + len(path), prompt if at else 0, block) for at, path in enumerate(places)
    )
    if by_places <= sum(prompt + len(path) for path in wholes):
        return list(_named(encoded.prompt, places, whole=False))
    return list(_named(encoded.prompt, wholes, whole=True))


def _named(prompt: TokenIds, paths: Mapping[TokenIds, Iterable[int]], whole: bool) -> Iterable[Ask]:
    for path, tokens in paths.items():
        named = tuple(tokens)
        for first in range(0, len(named), MOST_NAMED):
            inside = whole and bool(path) and not first
            yield Ask((*prompt, *path), named[first : first + MOST_NAMED], inside)


def forwarded(encoded: Sequence[EncodedScore], block: int) -> int:
    """Tokens that vLLM forwards for these requests in the order of their trie, its cache empty and large."""
    asks = [ask for one in encoded for ask in asks_for(one, block)]
    cached = sorted_texts([ask.ids for ask in asks if not ask.whole], block)
    return cached + sum(len(ask.ids) for ask in asks if ask.whole)


def sorted_texts(texts: Sequence[TokenIds], block: int) -> int:
    """Tokens that are not in the cache, text after text in the order of their trie."""
    if not texts:
        return 0
    trie = build_trie(as_arrays(texts))
    pairs = zip(trie.lengths.tolist(), trie.shared.tolist(), strict=True)
    return sum(uncached(length, shared, block) for length, shared in pairs)


def read_scores(encoded: EncodedScore, told: Mapping[Ask, Told]) -> tuple[tuple[float, ...], ...]:
    """Log-probabilities of every token of every continuation."""
    after: dict[tuple[TokenIds, int], float] = {}
    inside: dict[TokenIds, Sequence[float | None]] = {}
    for ask, answer in told.items():
        after.update({(ask.ids, token): answer.after[token] for token in ask.named})
        if ask.whole:
            inside[ask.ids] = answer.inside
    rows = [_row(encoded.prompt, continuation, after, inside) for continuation in encoded.continuations]
    return tuple(relative_to_another(rows) if encoded.relative else rows)


def _row(
    prompt: TokenIds,
    continuation: TokenIds,
    after: Mapping[tuple[TokenIds, int], float],
    inside: Mapping[TokenIds, Sequence[float | None]],
) -> tuple[float, ...]:
    text = (*prompt, *continuation[:-1])
    last = after[text, continuation[-1]]
    known: Sequence[Any]
    if text in inside:
        known = inside[text][len(prompt) :]
    else:
        known = [after[(*prompt, *continuation[:at]), token] for at, token in enumerate(continuation[:-1])]
    return (*map(float, known), last)
