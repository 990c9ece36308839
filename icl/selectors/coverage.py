"""Demonstrations that together contain the pieces of the query."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_number
from icl.encoders.words import words
from icl.protocols import Resources, selectors
from icl.selectors.bm25 import BM25, best_first
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query

Gram = tuple[str, ...]


@selectors.register(
    "coverage",
    paper="Levy et al. 2023, Diverse Demonstrations Improve In-context Compositional Generalization",
)
class Coverage:
    """Greedy cover of the query's word n-grams: each example adds most that are not covered yet.

    The query's local structures are its n-grams of 1 to `n` words, each once. Ties, first of all
    among examples that add nothing, go to the higher BM25 and then by pool order. When all that
    can be covered is covered, a new round starts with everything uncovered, as in the paper's
    Algorithm 1. That algorithm covers structures of a predicted program and takes them one by one,
    largest first, with the example that retrieval ranks highest; greedy cover of the query's own
    n-grams needs no prediction and is the form used for text.

    Score: share of the query's n-grams that the example adds, less 1 for every round before.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, *, n: int = 3) -> None:
        check_number("n", n, low=1, high=10, whole=True)
        self.n = n

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Indexes the n-grams of the pool."""
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._bm25 = BM25().fit(pool, resources)
        self._postings: dict[Gram, array[int]] = defaultdict(lambda: array("l"))
        for position, example in enumerate(pool):
            for gram in grams(example.text, self.n):
                self._postings[gram].append(position)
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """k a query, in order of selection. ConfigError when the pool is too small."""
        self._candidates.check(k)
        return [self._cover(query, k) for query in queries]

    def _cover(self, query: Query, k: int) -> tuple[Demonstration, ...]:
        forbidden = self._candidates.forbidden(query)
        bm25 = self._bm25.scores(query)
        # Nobody but these can be chosen: all that share an n-gram, and the k best by BM25 to fill up.
        filling = self._candidates.first(best_first(bm25, k + len(forbidden)), forbidden, k, query)
        query_grams = grams(query.text, self.n)
        postings = [self._postings[gram] for gram in query_grams if gram in self._postings]
        sharing = {at for posting in postings for at in posting}
        positions = np.array(sorted((sharing | set(filling)) - forbidden), dtype=np.int64)
        contains = np.zeros((len(positions), len(postings)), dtype=bool)
        for column, posting in enumerate(postings):
            contains[np.isin(positions, np.asarray(posting)), column] = True
        chosen = []
        for row, gain, turn, covered in greedy_cover(contains, bm25[positions].astype(np.float64), k):
            share = gain / max(len(query_grams), 1)
            why: dict[str, float | str] = {
                "new_ngrams": float(gain),
                "covered": covered / max(len(query_grams), 1),
                "round": float(turn),
                "bm25": float(bm25[positions[row]]),
            }
            chosen.append(Demonstration(self._candidates.pool[positions[row]], share - (turn - 1), why))
        return tuple(chosen)


def grams(text: str, longest: int) -> list[Gram]:
    """The distinct word n-grams of a text, n from 1 to `longest`, in order of length and place."""
    found = words(text)
    every = (tuple(found[at : at + n]) for n in range(1, longest + 1) for at in range(len(found) - n + 1))
    return list(dict.fromkeys(every))


def greedy_cover(
    contains: NDArray[np.bool_], preference: NDArray[np.float64], k: int
) -> list[tuple[int, int, int, int]]:
    """k of the rows of `contains` ([rows, items]), each adding most items that are not covered.

    Ties go to the higher `preference`, then to the first row. Returns, in order, (row, items
    added, round, items covered in this round so far); a round ends when nothing can be added, and
    with rows left that add nothing at all the rest goes by preference.
    """
    left = np.ones(len(contains), dtype=bool)
    uncovered = np.ones(contains.shape[1], dtype=bool)
    chosen: list[tuple[int, int, int, int]] = []
    turn = 1
    while len(chosen) < k and left.any():
        gains = np.where(left, contains @ uncovered.astype(np.int64), -1)
        if gains.max() == 0 and not uncovered.all():
            uncovered[:] = True
            turn += 1
            continue
        tied = np.flatnonzero(gains == gains.max())
        row = int(tied[preference[tied].argmax()])
        left[row] = False
        uncovered &= ~contains[row]
        chosen.append((row, int(gains[row]), turn, int((~uncovered).sum())))
    return chosen
