"""Which instruction is too like one that is kept: ROUGE-L between one and thousands, exactly and quickly.

ROUGE-L F (Lin 2004) of texts of m and n words with a longest common subsequence of l words is 2 l / (m + n).
Self-Instruct and Alpaca leave an instruction out whose F with any kept one is above 0.7. Their tokenizer
keeps a-z and 0-9 only, so that Chinese instructions have no words and all F are 0; here a CJK character is
a word.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from rapidfuzz.distance import LCSseq

THRESHOLD = 0.7
"""Wang et al. 2023, Taori et al. 2023: kept up to it, left out above."""
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_FIRST = 0xE000
"""Words stand as characters in the texts that are compared: from here on, beyond the halves of pairs."""
_EXACT = 1e-12


def rouge_words(text: str) -> list[str]:
    """Words in lower case, a CJK character each one; for plain English the same as those of rouge_score."""
    return WORD.findall(text.lower())


def lcs_length(one: Sequence[object], other: Sequence[object]) -> int:
    """Words of the longest common subsequence, by the plain dynamic programme: the oracle."""
    row = [0] * (len(other) + 1)
    for left in one:
        diagonal = 0
        for at, right in enumerate(other, start=1):
            above = row[at]
            row[at] = diagonal + 1 if left == right else max(above, row[at - 1])
            diagonal = above
    return row[-1]


def rouge_l(one: Sequence[object], other: Sequence[object]) -> float:
    """F of two lists of words, 0 where one has none; the oracle."""
    total = len(one) + len(other)
    return 2 * lcs_length(one, other) / total if one and other else 0.0


class SimilarityIndex:
    """Kept instructions, and whether another is too like one of them.

    No pair is compared that cannot be above the threshold: l is at most the number of words that both have,
    repeated ones as often as both have them, which an inverted index counts for all kept ones at once. What
    is left is compared exactly (bit-parallel, rapidfuzz). The decisions are those of comparing all pairs.
    """

    def __init__(self, kept: Iterable[str] = (), threshold: float = THRESHOLD) -> None:
        """ValueError for a threshold outside [0, 1]."""
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold!r}; allowed: a number in [0, 1]")
        self.threshold = threshold
        self._vocabulary: dict[str, int] = {}
        self._features: dict[tuple[int, int], int] = {}
        """(word, how many of it stood before) -> its list."""
        self._lists: list[array[int]] = []
        """Kept ones that have it."""
        self._lengths = array("q")
        self._texts: list[str] = []
        for text in kept:
            self.add(text)

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Keeps one more."""
        numbers = self._numbers(text)
        place = len(self._texts)
        for feature in _occurrences(numbers):
            known = self._features.setdefault(feature, len(self._lists))
            if known == len(self._lists):
                self._lists.append(array("q"))
            self._lists[known].append(place)
        self._lengths.append(len(numbers))
        self._texts.append(_characters(numbers))

    def too_like(self, text: str) -> int | None:
        """The place of a kept one whose F with `text` is above the threshold; None where there is none."""
        numbers = self._numbers(text)
        if not numbers or not self._texts:
            return None
        shared = self._shared(numbers)
        lengths = np.frombuffer(self._lengths, dtype=np.int64)
        # F > t  <=>  2 l > t (m + n); the common words bound l from above
        wanted = self.threshold * (lengths + len(numbers)) / 2 + _EXACT
        near = np.flatnonzero(shared > wanted)
        del lengths  # an array with a view on it cannot grow
        own = _characters(numbers)
        for place in near[np.argsort(-shared[near], kind="stable")].tolist():
            least = int(wanted[place]) + 1
            if LCSseq.similarity(own, self._texts[place], score_cutoff=least) >= least:
                return int(place)
        return None

    def add_if_new(self, text: str) -> bool:
        """Keeps `text` unless it is too like one that is kept."""
        if self.too_like(text) is not None:
            return False
        self.add(text)
        return True

    def _shared(self, numbers: Sequence[int]) -> np.ndarray:
        """Of each kept one, the words that it has in common with these, counted with repetition."""
        found = np.zeros(len(self._texts), dtype=np.int32)
        for feature in _occurrences(numbers):
            known = self._features.get(feature)
            if known is not None:  # a text is in a list once
                found[np.frombuffer(self._lists[known], dtype=np.int64)] += 1
        return found

    def _numbers(self, text: str) -> list[int]:
        return [self._vocabulary.setdefault(word, len(self._vocabulary)) for word in rouge_words(text)]


def _occurrences(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """(word, how many of it stood before): texts share as many of these as words."""
    seen: dict[int, int] = {}
    found = []
    for number in numbers:
        before = seen.get(number, 0)
        seen[number] = before + 1
        found.append((number, before))
    return found


def _characters(numbers: Sequence[int]) -> str:
    return "".join(chr(_FIRST + number) for number in numbers)
