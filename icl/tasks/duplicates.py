"""Which pool examples are a query, or as good as it: the guard against leaks.

Two items are duplicates when their texts and choices are equal after `normalise` (choices in any order),
or, below threshold 1, when the Jaccard similarity of their sets of word 3-grams reaches the threshold.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence

from icl.errors import ConfigError
from icl.types import Example, Query

# A CJK character is a word of its own: these scripts put no spaces between words.
# So is a sign of arithmetic or logic, which can be all that tells two problems apart.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u2052\u2190-\u23ff+<=>^|~]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)
_DROPPED = frozenset("PZC")
"""Initials of the Unicode categories that do not count: punctuation, separators, controls."""
_ASCII_DROPPED = {c: None for c in range(128) if unicodedata.category(chr(c))[0] in _DROPPED}
_WORD_BITS = 40
"""Bits a word id takes in a packed 3-gram; Python integers do not overflow."""


# Punctuation that means something, as symbols that look like it and are never dropped
_BRACKETS = str.maketrans("()[]{}", "\u239b\u239e\u23a1\u23a4\u23a7\u23ab")
_SIGNS = {
    "-": "\u2212",
    "*": "\u2217",
    "/": "\u2215",
    ".": "\u2219",
    ":": "\u2236",
    "%": "\u2052",
    "": "\u2223",
}
_SIGNIFICANT = re.compile(
    r"(?<=\d)(?P<between>[^\w\u2190-\u23ff+<=>^|~$]+)(?=\d)"
    r"|(?P<minus>(?:(?<=[\d\u239e\u23a4])\s*|(?<=[=<>+\u2217\u2215\u239b])\s*|(?<=\s)|^)[-\u2010\u2011](?=[\d\u239b])|(?<=[\d\u239e\u23a4])\s*-\s*(?=\u239b))"
    r"|(?P<sign>(?<=[\w\u239e\u23a4])(?:\*{1,2}|/|\s+\*{1,2}\s+|\s+/\s+)(?=[\w\u239b\u23a1]))"
    r"|(?P<percent>(?<=\d)\s?%)"
)


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SIGNIFICANT.sub(_as_symbol, folded.translate(_BRACKETS))


def _as_symbol(hit: re.Match[str]) -> str:
    """The symbol that stands for punctuation between numbers or operands: 8 - 2, 8 * 2, 1.5 and 1 5 are
    four things."""
    said = "".join(hit.group().split())
    if hit["between"] is None:
        return "\u2212" if hit["minus"] else _SIGNS[said[:1]] * len(said)
    if any(unicodedata.category(character)[0] not in _DROPPED for character in hit.group()):
        return hit.group()
    if hit.group() == "," and re.match(r"\d{3}(?!\d)", hit.string[hit.end() : hit.end() + 4]):
        return ""  # thousands
    return _SIGNS.get(said, _SIGNS[""])


def normalise(text: str) -> str:
    """The text case-folded, in NFKC, without punctuation, white space and control characters.

    Symbols such as + and < stay, and so do brackets, and points, signs and gaps between numbers: they can
    be all that tells two problems apart ("8 - 2", "8 * 2"; "1.5", "15"; "not (a or b)"). A text of nothing
    but punctuation is kept as it is, so that "?" and "!" are not duplicates. Idempotent.
    """
    while True:
        folded = _fold(text)
        if folded.isascii():
            kept = folded.translate(_ASCII_DROPPED)
        else:
            kept = "".join(c for c in folded if unicodedata.category(c)[0] not in _DROPPED)
        kept = kept or "".join(folded.split())
        if kept == text:  # dropping a character can let its neighbours compose: go on to the fixed point
            return kept
        text = kept


def words(text: str) -> list[str]:
    """Words as duplicates are told by: folded, a CJK character and a sign of arithmetic each one."""
    return _WORD.findall(_fold(text))


def _whole(item: Query | Example) -> str:
    """The inputs and the choices, these in an order of their own."""
    return "\n".join([item.text, *sorted(item.choices.values())]) if item.choices else item.text


def _key(item: Query | Example) -> str:
    """What is equal for duplicates."""
    parts = [normalise(item.text), *sorted(normalise(text) for text in item.choices.values())]
    return "\n".join(parts)


class DuplicateIndex:
    """Finds a query's duplicates in a pool without comparing it to every example.

    Exact matches come from a dictionary. Near ones come from an inverted index of 3-grams: a
    duplicate shares at least ceil(threshold * n) of the query's n grams, so it holds one of any
    n - ceil(threshold * n) + 1 of them; the rarest are looked up (prefix filtering, Chaudhuri et
    al. 2006) and only what is found there is compared.

    threshold: 1 = equal after normalisation; in (0, 1) = Jaccard of word 3-grams.
    """

    def __init__(self, pool: Sequence[Example], threshold: float = 1.0) -> None:
        if not 0 < threshold <= 1:
            raise ConfigError(f"duplicate threshold is {threshold}: must be in (0, 1]")
        self.threshold = threshold
        self._ids = tuple(example.id for example in pool)
        self._by_id = frozenset(self._ids)
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._vocabulary: dict[str, int] = {}
        self._gram_ids: dict[int, int] = {}
        self._postings: list[array[int]] = []
        """gram id -> positions of the pool examples that hold it."""
        self._grams: list[array[int]] = []
        """position -> its gram ids."""
        for position, example in enumerate(pool):
            self._exact[_key(example)].append(example.id)
            if threshold < 1:
                self._add(position, _whole(example))

    def _add(self, position: int, text: str) -> None:
        said = words(text)
        for word in said:
            self._vocabulary.setdefault(word, len(self._vocabulary) + 1)
        ids = array("l")
        for gram in _grams([self._vocabulary[word] for word in said]):
            gram_id = self._gram_ids.setdefault(gram, len(self._postings))
            if gram_id == len(self._postings):
                self._postings.append(array("l"))
            self._postings[gram_id].append(position)
            ids.append(gram_id)
        self._grams.append(ids)

    def matches(self, query: Query | Example) -> frozenset[str]:
        """Ids of the pool examples that are the query itself or a duplicate of it."""
        found = set(self._exact.get(_key(query), ()))
        if query.id in self._by_id:
            found.add(query.id)
        if self.threshold < 1:
            found.update(self._ids[position] for position in self._near(_whole(query)))
        return frozenset(found)

    def _near(self, text: str) -> Iterable[int]:
        unknown: dict[str, int] = {}
        first_free = len(self._vocabulary) + 1
        numbers = [
            self._vocabulary.get(word) or unknown.setdefault(word, first_free + len(unknown))
            for word in words(text)
        ]
        grams = _grams(numbers)
        n = len(grams)
        known = {self._gram_ids[gram] for gram in grams if gram in self._gram_ids}
        # Grams that no example holds are the rarest of all: they use up the prefix first.
        prefix = n - math.ceil(self.threshold * n - 1e-9) + 1 - (n - len(known))
        if prefix <= 0:
            return
        rarest = sorted(known, key=lambda gram_id: len(self._postings[gram_id]))[:prefix]
        for position in {p for gram_id in rarest for p in self._postings[gram_id]}:
            theirs = self._grams[position]
            shared = len(known.intersection(theirs))
            if shared >= self.threshold * (n + len(theirs) - shared) - 1e-9:
                yield position


def _grams(numbers: Sequence[int]) -> set[int]:
    """Packed word 3-grams; a shorter text is one gram of all its words; no words, no grams."""
    width = min(3, len(numbers))
    if width == 0:
        return set()
    grams = set()
    for start in range(len(numbers) - width + 1):
        packed = 0
        for word in numbers[start : start + width]:  # ids start at 1, so lengths cannot be confused
            packed = (packed << _WORD_BITS) | word
        grams.add(packed)
    return grams


def overlap(
    pool: Sequence[Example], test: Sequence[Example], threshold: float = 1.0
) -> dict[str, tuple[str, ...]]:
    """Pool example id -> ids of the test items it duplicates, both in their own order."""
    index = DuplicateIndex(test, threshold)
    hits: dict[str, tuple[str, ...]] = {}
    order = {example.id: position for position, example in enumerate(test)}
    for example in pool:
        found = index.matches(example)
        if found:
            hits[example.id] = tuple(sorted(found, key=order.__getitem__))
    return hits
