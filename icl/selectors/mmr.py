"""Near to the query, far from one another: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_number
from icl.encoders.bertscore import TokenStore, f1
from icl.encoders.neighbours import DECIMALS, INDEX_KINDS, IndexKind
from icl.protocols import Resources, selectors
from icl.selectors.shared.prefetch import Neighbours, Prefetch, gram
from icl.types import Demonstration, Example, Query

Similarity = Literal["cosine", "bertscore"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "bertscore")


@selectors.register(
    "mmr",
    paper="Ye et al. 2023, Complementary Explanations for Effective In-Context Learning "
    "(MMR: Carbonell and Goldstein 1998)",
)
class MMR:
    """Relevance to the query against redundancy with what is chosen already, one by one.

    Each step takes the e with the highest lambda * sim(q, e) - (1 - lambda) * max over the chosen
    s of sim(s, e); nothing is redundant with the empty set. `lambda`: 1 is kNN, 0 looks at
    diversity alone (Ye et al.: 0.5). `similarity`: sim is the "cosine" of the experiment's encoder
    over inputs, or the "bertscore" F1 of its token vectors (the paper, over questions; Zhang et al.
    2020), which encodes the neighbours of each query token by token. `prefetch`: only the nearest
    so many by cosine are looked at (the paper's pool has 512 examples, all of them; here 100, as
    DPP). `index`, `probes`: how they are found, as in knn.

    In order of selection, as in the paper's prompts; the score is the value at which each was
    taken, which from the second on never rises. Ties go to the nearer one, then by pool order.
    """

    needs: frozenset[str] = frozenset({"encoder"})

    def __init__(
        self,
        *,
        lambda_: float = 0.5,
        similarity: Similarity = "cosine",
        prefetch: int = 100,
        index: IndexKind = "flat",
        probes: int = 8,
    ) -> None:
        check_number("lambda", lambda_, low=0, high=1)
        check_choice("similarity", similarity, SIMILARITIES)
        check_number("prefetch", prefetch, low=1, whole=True)
        check_choice("index", index, INDEX_KINDS)
        check_number("probes", probes, low=1, whole=True)
        self.lambda_ = lambda_
        self.similarity = similarity
        self.prefetch = prefetch
        self.index = index
        self.probes = probes

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Embeds and indexes the pool. ConfigError without an encoder, or where BERTScore is asked of
        one without vectors of tokens."""
        self._prefetch = Prefetch("mmr", pool, resources, self.prefetch, self.index, self.probes)
        self._tokens = None
        if self.similarity == "bertscore":
            self._tokens = TokenStore("selector 'mmr' with similarity: bertscore", self._prefetch.queries)
            self._tokens.of([example.text for example in pool[:1]])
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """k a query, in order of selection. ConfigError when pool or prefetch are too small."""
        self._prefetch.check(k)
        if not queries or k == 0:
            return [() for _ in queries]
        pool = self._prefetch.candidates.pool
        selected = []
        for start, nearest in self._prefetch.batches(queries, k):
            near, among = nearest, gram(self._prefetch.vectors, nearest.positions, np.float32)
            if self._tokens is not None:
                near, among = self._by_tokens(nearest, queries[start : start + len(among)], self._tokens)
            columns, values, redundancies = maximal_marginal_relevance(near, among, k, self.lambda_)
            chosen = np.take_along_axis(near.positions, columns, axis=1).tolist()
            similarities = np.take_along_axis(near.similarities, columns, axis=1).tolist()
            rows = zip(chosen, values.tolist(), similarities, redundancies.tolist(), strict=True)
            for row in rows:
                selected.append(
                    tuple(
                        Demonstration(pool[at], value, {"similarity": similarity, "redundancy": redundancy})
                        for at, value, similarity, redundancy in zip(*row, strict=True)
                    )
                )
        return selected

    def _by_tokens(
        self, near: Neighbours, queries: Sequence[Query], store: TokenStore
    ) -> tuple[Neighbours, NDArray[np.float32]]:
        """The same neighbours with BERTScore F1 in the place of cosines: to the query, and
        [m, n, n] among them. One query after the other; its pairs all at once."""
        similarities = near.similarities.copy()
        among = np.zeros((*near.positions.shape, near.positions.shape[1]), dtype=np.float32)
        for row, query in enumerate(queries):
            n = int(near.allowed[row].sum())
            texts = [self._prefetch.candidates.pool[at].text for at in near.positions[row, :n]]
            asked, *tokens = store.of([query.text, *texts])
            similarities[row, :n] = np.round(f1([asked], tokens)[0], DECIMALS)
            among[row, :n, :n] = f1(tokens, tokens)
        return replace(near, similarities=similarities), among


def maximal_marginal_relevance(
    near: Neighbours, cosines: NDArray[np.float32], k: int, trade: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """For m queries side by side: columns chosen, value and redundancy of each; all [m, k].

    `cosines`: [m, n, n] among the neighbours, n >= k allowed in every row. `trade`: lambda.
    """
    rows = np.arange(len(cosines))
    # Rounded as the similarities are, so that equal vectors tie whatever the kernel.
    among = cosines.astype(np.float64)
    np.round(among, DECIMALS, out=among)
    relevance = np.where(near.allowed, trade * np.where(near.allowed, near.similarities, 0.0), -np.inf)
    redundancy = np.zeros(relevance.shape)
    columns = np.zeros((len(rows), k), dtype=np.int64)
    values, redundancies = np.zeros((len(rows), k)), np.zeros((len(rows), k))
    for step in range(k):
        value = np.round(relevance - (1 - trade) * redundancy, DECIMALS)
        best = value.argmax(axis=1)  # the first of equals is the nearer one
        columns[:, step] = best
        values[:, step] = value[rows, best]
        redundancies[:, step] = redundancy[rows, best]
        relevance[rows, best] = -np.inf
        to_chosen = among[rows, best]
        redundancy = to_chosen if step == 0 else np.maximum(redundancy, to_chosen)
    return columns, values, redundancies
