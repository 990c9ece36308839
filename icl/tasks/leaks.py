"""Whether a text holds an item of a test set: exact, normalised, or by a long n-gram.

13-grams are those of Brown et al. 2020 (appendix C). A row of a corpus shows an item inside words of its own,
so items are looked for within texts, where they are long enough to mean something there.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from icl.tasks.duplicates import normalise, words
from icl.types import Example

Kind = Literal["exact", "normalised", "n-gram"]
KINDS: tuple[Kind, ...] = ("exact", "normalised", "n-gram")
NGRAM = 13
"""Words that are together in a test item and in a row by more than chance."""
LEAST = 5
"""Words of an item that is looked for within a text; a shorter one must be a whole field of a row."""
HEAD = 3
"""Words by which short items are found."""
FRAME = 3
"""Texts of a test set that may have an n-gram in common, numbers apart; in more it is a frame that they
are filled into."""


class LeakIndex:
    """The test sets that a corpus must not hold.

    tests: name of a task -> its test items. A row overlaps an item whose inputs are all in it, word for word
    (case, punctuation and white space apart; "exact" where they are there as written), or with whose inputs
    it shares `ngram` words in a row that are no frame: words which, numbers apart, stand in more than FRAME
    different texts of the test set. An item of fewer than LEAST words counts only where it is the whole
    instruction, input, output or text.
    """

    def __init__(self, tests: Mapping[str, Sequence[Example]], ngram: int = NGRAM) -> None:
        if ngram < LEAST:
            raise ValueError(f"ngram is {ngram}; allowed: at least {LEAST} words")
        self.ngram = ngram
        self.sizes = {name: len(items) for name, items in tests.items()}
        self.counts: Counter[tuple[str, Kind]] = Counter()
        """(task, kind) -> rows that were found to overlap."""
        self._whole: dict[str, tuple[str, str]] = {}
        """A short item, normalised -> task and text."""
        self._heads: dict[
            tuple[str, ...], list[tuple[str, tuple[tuple[str, ...], ...], tuple[str, ...]]]
        ] = {}
        """First words of an item's longest input -> (task, words of each input, inputs as written)."""
        self._grams: dict[tuple[str, ...], str] = {}
        digest = hashlib.blake2b(str(ngram).encode(), digest_size=16)
        for name, items in tests.items():
            digest.update(f"{name}\x1f{len(items)}\x1e".encode("utf-8", "surrogatepass"))
            long: set[tuple[str, ...]] = set()
            for item in items:
                digest.update(f"{name}\x1f{item.text}\x1e".encode("utf-8", "surrogatepass"))
                long.update(self._add(name, item))
            self._add_grams(name, long)
        self.fingerprint = digest.hexdigest()

    def fresh(self) -> LeakIndex:
        """The same index with counts of its own."""
        made = copy.copy(self)
        made.counts = Counter()
        return made

    def _add(self, name: str, item: Example) -> Sequence[tuple[str, ...]]:
        """Its inputs as words, for their n-grams; none of a short one."""
        written = tuple(text for text in item.inputs.values() if text.strip())
        parts = tuple(tuple(words(text)) for text in written)
        if not parts:
            return ()
        longest = max(parts, key=len)
        if sum(map(len, parts)) < LEAST or len(longest) < HEAD:
            self._whole.setdefault(normalise(item.text), (name, item.text))
            return ()
        self._heads.setdefault(longest[:HEAD], []).append((name, parts, written))
        return parts

    def _add_grams(self, name: str, texts: set[tuple[str, ...]]) -> None:
        """Those of different texts of one test set, frames left out."""
        texts_with = Counter(frame for text in texts for frame in set(self._grams_of(_framed(text))))
        for text in texts:
            for gram, frame in zip(self._grams_of(text), self._grams_of(_framed(text)), strict=True):
                if texts_with[frame] <= FRAME:
                    self._grams.setdefault(gram, name)

    def _grams_of(self, text: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [text[at : at + self.ngram] for at in range(len(text) - self.ngram + 1)]

    def find(self, whole: str, fields: Sequence[str]) -> tuple[str, Kind] | None:
        """(task, kind) of the first overlap of a row; counted. whole: all its text; fields: its parts."""
        found = self._short(fields) or self._within(whole)
        if found is not None:
            self.counts[found] += 1
        return found

    def _short(self, fields: Sequence[str]) -> tuple[str, Kind] | None:
        if not self._whole:
            return None
        for field in fields:
            if field and (hit := self._whole.get(normalise(field))) is not None:
                return hit[0], "exact" if hit[1].strip() == field.strip() else "normalised"
        return None

    def _within(self, text: str) -> tuple[str, Kind] | None:
        said = tuple(words(text))
        spaced = ""
        for at in range(len(said) - HEAD + 1):
            for name, parts, written in self._heads.get(said[at : at + HEAD], ()):
                spaced = spaced or _spaced(said)
                if all(_spaced(part) in spaced for part in parts):
                    return name, "exact" if all(each in text for each in written) else "normalised"
        if self._grams:
            for at in range(len(said) - self.ngram + 1):
                if (hit := self._grams.get(said[at : at + self.ngram])) is not None:
                    return hit, "n-gram"
        return None

    def said(self) -> str:
        """What was found, in words: "3 exact, 1 by n-gram"; "" where nothing was."""
        totals: Counter[str] = Counter()
        for (_, kind), count in self.counts.items():
            totals[kind] += count
        return ", ".join(f"{totals[kind]} {kind}" for kind in KINDS if totals[kind])

    @property
    def plain(self) -> dict[str, dict[str, int]]:
        """For JSON: task -> test items and overlaps by kind."""
        return {
            name: {"test_items": size, **{kind: self.counts[name, kind] for kind in KINDS}}
            for name, size in self.sizes.items()
        }


def _framed(text: tuple[str, ...]) -> tuple[str, ...]:
    """Words, every number the same."""
    return tuple("0" if word[0].isdigit() else word for word in text)


def _spaced(parts: Iterable[str]) -> str:
    return "\x1f" + "\x1f".join(parts) + "\x1f"
