"""Sets that are relevant and diverse as a whole: determinantal point processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np

from icl.components import check_choice, check_number
from icl.encoders.neighbours import INDEX_KINDS, IndexKind
from icl.protocols import Resources, selectors
from icl.selectors.shared.determinants import greedy_map, relevance_kernel, sample_k_dpp
from icl.selectors.shared.prefetch import Prefetch, gram
from icl.types import Demonstration, Example, Query

Inference = Literal["map", "sample"]
INFERENCES: tuple[Inference, ...] = ("map", "sample")


@selectors.register("dpp", paper="Ye et al. 2023, Compositional Exemplars for In-context Learning (CEIL)")
class DPP:
    """The set S with a large det(L_S), L_ij = r_i S_ij r_j: CEIL's kernel without its training.

    S_ij = (cosine(i, j) + 1) / 2 and r_i = exp((s_i - max s) / (2 `lambda`)) with s_i = (cosine(q, i)
    + 1) / 2: a small `lambda` looks at relevance, a large one at diversity (CEIL 0.1; the authors'
    TopK-DPP script 0.05). The `prefetch` nearest examples are looked at, found by `index` and
    `probes` as in knn.
    `inference`: "map" adds the example that raises the determinant most, one by one (fast greedy
    MAP, Chen et al. 2018), and stops where it would multiply it by less than `epsilon` (without
    the stop a kernel of low rank gives duplicates); a query gets fewer than k then. "sample" draws
    a set of k with probability proportional to det(L_S) (k-DPP, Kulesza and Taskar 2011), a draw
    of its own for each query.

    Most similar first, whatever the order in which they were taken.
    """

    needs: frozenset[str] = frozenset({"encoder"})

    def __init__(
        self,
        *,
        lambda_: float = 0.1,
        prefetch: int = 100,
        inference: Inference = "map",
        epsilon: float = 1e-10,
        index: IndexKind = "flat",
        probes: int = 8,
    ) -> None:
        check_number("lambda", lambda_, low=1e-3)
        check_number("prefetch", prefetch, low=1, whole=True)
        check_choice("inference", inference, INFERENCES)
        check_number("epsilon", epsilon, low=0)
        check_choice("index", index, INDEX_KINDS)
        check_number("probes", probes, low=1, whole=True)
        self.lambda_ = lambda_
        self.prefetch = prefetch
        self.inference = inference
        self.epsilon = epsilon
        self.index = index
        self.probes = probes

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Embeds and indexes the pool. ConfigError without an encoder."""
        self._prefetch = Prefetch("dpp", pool, resources, self.prefetch, self.index, self.probes)
        self._resources = resources
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """At most k a query, most similar first. ConfigError when pool or prefetch are too small."""
        streams = None
        if self.inference == "sample":
            streams = [self._resources.generator("selectors.dpp", query.id) for query in queries]
        return choose_sets(self._prefetch, queries, k, self.lambda_, self.epsilon, streams)


def choose_sets(
    prefetch: Prefetch,
    queries: Sequence[Query],
    k: int,
    trade: float,
    epsilon: float,
    streams: Sequence[np.random.Generator] | None = None,
) -> list[tuple[Demonstration, ...]]:
    """At most k a query, most similar first: by greedy MAP, or drawn where `streams` are given.

    `trade`: the kernel's lambda. ConfigError when pool or prefetch are too small.
    """
    prefetch.check(k)
    if not queries or k == 0:
        return [() for _ in queries]
    selected = []
    for start, near in prefetch.batches(queries, k):
        # In float64: the noise of float32 products stands above epsilon and passes for volume.
        cosines = gram(prefetch.vectors, near.positions, np.float64)
        kernel, relevance = relevance_kernel(cosines, near, trade)
        if streams is None:
            columns, gains = greedy_map(kernel, k, epsilon)
        else:
            columns, gains = sample_k_dpp(kernel, k, streams[start : start + len(kernel)], epsilon)
        for row in range(len(kernel)):
            # Columns stand nearest first; one of -1 is an empty place.
            taken = sorted((int(column), step) for step, column in enumerate(columns[row]) if column >= 0)
            demonstrations = []
            for column, step in taken:
                similarity = float(near.similarities[row, column])
                why: dict[str, float | str] = {
                    "similarity": similarity,
                    "relevance": float(relevance[row, column]),
                }
                if streams is None:
                    why |= {"gain": float(gains[row, step]), "step": float(step + 1)}
                example = prefetch.candidates.pool[near.positions[row, column]]
                demonstrations.append(Demonstration(example, similarity, why))
            selected.append(tuple(demonstrations))
    return selected
