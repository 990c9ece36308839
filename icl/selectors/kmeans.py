"""Representatives of the pool: one example a cluster."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_number
from icl.encoders.neighbours import DECIMALS
from icl.errors import ConfigError
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query


@dataclass(frozen=True, slots=True)
class Clusters:
    """k clusters of a pool."""

    members: list[list[int]]
    """Positions of each cluster, nearest to its centre first; the largest cluster first."""
    closeness: NDArray[np.float64]
    """[pool] cosine of every example with the centre of its cluster."""
    cluster: NDArray[np.int64]
    """[pool] index into `members`."""


@selectors.register("kmeans", paper="Lloyd 1982; as a choice of demonstrations Zhang et al. 2023, Auto-CoT")
class KMeans:
    """The examples nearest to the centres of k clusters of the pool's inputs.

    k-means over the experiment's embeddings, k = shots; one representative a cluster, largest
    cluster first. The same for every query, except that the query and its duplicates give their
    place to the next of their cluster (a cluster with nothing left, to the next of the largest).
    `restarts`: k-means is run so often from different starts (k-means++) and the best kept.

    Score: share of the pool in the cluster.
    """

    needs: frozenset[str] = frozenset({"encoder"})

    def __init__(self, *, restarts: int = 4) -> None:
        check_number("restarts", restarts, low=1, whole=True)
        self.restarts = restarts

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Embeds the pool; it is clustered when k is known. ConfigError without an encoder."""
        if resources.encoder is None:
            raise ConfigError("selector 'kmeans' needs an encoder")
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._resources = resources
        self._vectors = resources.encoder.encode([example.text for example in pool])
        self._clusters: dict[int, Clusters] = {}
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """k a query, largest cluster first. ConfigError when the pool is too small."""
        self._candidates.check(k)
        if not queries or k == 0:
            return [() for _ in queries]
        if k not in self._clusters:
            seed = int(self._resources.generator("selectors.kmeans", str(k)).integers(2**31))
            self._clusters[k] = cluster(self._vectors, k, seed, self.restarts)
        clusters = self._clusters[k]
        selected = []
        for query in queries:
            forbidden = self._candidates.forbidden(query)
            left = [[at for at in group if at not in forbidden] for group in clusters.members]
            taken = self._candidates.first(take_turns(left), forbidden, k, query)
            selected.append(tuple(self._demonstration(at, clusters) for at in taken))
        return selected

    def _demonstration(self, position: int, clusters: Clusters) -> Demonstration:
        number = int(clusters.cluster[position])
        size = len(clusters.members[number])
        why: dict[str, float | str] = {
            "cluster": float(number),
            "cluster_size": float(size),
            "centrality": float(clusters.closeness[position]),
        }
        return Demonstration(self._candidates.pool[position], size / len(self._candidates.pool), why)


def cluster(vectors: NDArray[np.float32], k: int, seed: int, restarts: int) -> Clusters:
    """k-means of [n, d] unit rows; fewer than k clusters where fewer rows differ."""
    from sklearn.cluster import KMeans as Lloyd
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct rows than k: the empty clusters are left out below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = Lloyd(n_clusters=k, n_init=restarts, random_state=seed).fit(vectors)
    centres = fitted.cluster_centers_.astype(np.float64)
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    closeness = np.round((vectors * centres[fitted.labels_]).sum(axis=1), DECIMALS)
    order = np.lexsort((np.arange(len(vectors)), -closeness))
    groups: dict[int, list[int]] = {}
    for at in order.tolist():
        groups.setdefault(int(fitted.labels_[at]), []).append(at)
    members = sorted(groups.values(), key=lambda group: (-len(group), min(group)))
    numbers = np.zeros(len(vectors), dtype=np.int64)
    for number, group in enumerate(members):
        numbers[group] = number
    return Clusters(members, closeness, numbers)
