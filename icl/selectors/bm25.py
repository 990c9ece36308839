"""Demonstrations that share words with the query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_number
from icl.encoders.words import words
from icl.protocols import Resources, selectors
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query


@selectors.register(
    "bm25",
    paper="Robertson and Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond",
)
class BM25:
    """The k pool examples whose words match the query's best by BM25 (Lucene's variant).

    `over`: the side of the pool that the query's inputs are matched against. "inputs" is the
    usual baseline; "targets" matches verbalised target outputs, which helps where outputs repeat
    words of the inputs (semantic parsing; Rubin et al. 2022 index outputs so).
    `k1` saturates repeated words, `b` in [0, 1] discounts long texts. Chinese, Japanese and
    Korean are matched by pairs of characters. Ties, and examples without a word in common, go by
    pool order.
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self, *, over: Literal["inputs", "targets"] = "inputs", k1: float = 1.5, b: float = 0.75
    ) -> None:
        check_choice("over", over, ("inputs", "targets"))
        check_number("k1", k1, low=0)
        check_number("b", b, low=0, high=1)
        self.over = over
        self.k1 = k1
        self.b = b

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Indexes the words of the pool."""
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        verbalise = resources.task.verbalise
        documents = [words(e.text if self.over == "inputs" else verbalise(e.target)) for e in pool]
        # bm25s refuses an index without any word; such a pool scores 0 everywhere.
        self._index = None
        if any(documents):
            import bm25s

            self._index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
            self._index.index(documents, show_progress=False)
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The k best a query, best first. ConfigError when the pool is too small."""
        self._candidates.check(k)
        selected = []
        for query in queries:
            scores = self.scores(query)
            forbidden = self._candidates.forbidden(query)
            ranking = best_first(scores, k + len(forbidden))
            taken = self._candidates.first(ranking, forbidden, k, query)
            selected.append(tuple(self._demonstration(at, float(scores[at])) for at in taken))
        return selected

    def scores(self, query: Query) -> NDArray[np.float32]:
        """[pool] BM25 of every pool example for the query."""
        known = [] if self._index is None else self._index.get_tokens_ids(words(query.text))
        if self._index is None or not known:
            return np.zeros(len(self._candidates.pool), dtype=np.float32)
        return np.asarray(self._index.get_scores_from_ids(known), dtype=np.float32)

    def _demonstration(self, position: int, score: float) -> Demonstration:
        return Demonstration(self._candidates.pool[position], score, {"bm25": score})


def best_first(scores: NDArray[np.float32], n: int) -> list[int]:
    """Positions of the n highest scores, best first, ties by position."""
    if n <= 0:
        return []
    if n < len(scores):
        # Partition first: sorting a pool of 100 000 once a query would be the whole cost.
        cut = np.partition(scores, len(scores) - n)[len(scores) - n]
        candidates = np.flatnonzero(scores >= cut)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")[:n]
    best: list[int] = candidates[order].tolist()
    return best
