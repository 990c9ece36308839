"""Nearest neighbours among unit vectors, in the same order whatever the batch.

faiss finds the candidates; their similarities are then computed again in float64 and rounded, so
that neither the size of a batch nor the kernel chosen for it can turn two neighbours around. It is imported
where it is used: what only names selectors, such as `icl list`, need not wait for it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IndexKind = Literal["flat", "hnsw", "ivf"]
INDEX_KINDS: tuple[IndexKind, ...] = ("flat", "hnsw", "ivf")
DECIMALS = 6
"""Of a similarity; float32 inner products of unit vectors agree to about 1e-7."""
_SLACK = 8
_CELLS = 1 << 21
"""Candidates looked at together, over all rows of a batch. Large batches make exact search a large
matrix product: 10,000 queries in a million vectors take 7 times as long by 128 as by 2000."""


class NeighbourIndex:
    """Inner-product search over `vectors`, [n, d] float32 unit rows.

    `kind`: "flat" is exact; "hnsw" and "ivf" (`probes` of about sqrt(n) clusters are searched)
    are approximate, for pools of 10^5 and more. Rows for which an approximate index finds too few
    neighbours are searched exactly. A flat index is `vectors` itself, without a copy.
    """

    def __init__(self, vectors: NDArray[np.float32], kind: IndexKind = "flat", probes: int = 8) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self.kind = kind
        self.probes = probes
        self._index = _build(self.vectors, kind, probes)

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, queries: NDArray[np.float32], n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """[m, n'] positions and similarities with n' = min(n, size); nearest first, ties by position."""
        n = min(n, len(self))
        positions = np.zeros((len(queries), n), dtype=np.int64)
        similarities = np.zeros((len(queries), n), dtype=np.float64)
        rows = np.arange(len(queries))
        fetch = min(n + _SLACK, len(self))
        while len(rows):
            unsettled = []
            batch = min(max(_CELLS // max(fetch, 1), 1), 4096)
            for start in range(0, len(rows), batch):
                some = rows[start : start + batch]
                found, scored, settled = self._round(queries[some], n, fetch)
                positions[some[settled]] = found[settled]
                similarities[some[settled]] = scored[settled]
                unsettled.append(some[~settled])
            rows = np.concatenate(unsettled)
            fetch = min(2 * fetch, len(self))
        return positions, similarities

    def _round(
        self, queries: NDArray[np.float32], n: int, fetch: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """One search for `fetch` candidates a row; which rows are settled by it.

        A row is settled when the last candidate lies clearly below the n-th, so that nothing that
        was not fetched can belong among the first n.
        """
        found = self._candidates(queries, n, fetch)
        # Row by row: all candidates of all rows at once would not fit where many vectors are equal.
        pairs = zip(found, queries, strict=True)
        exact = np.stack([_similarities(self.vectors[row], query) for row, query in pairs])
        order = np.lexsort((found, -exact), axis=1)
        found = np.take_along_axis(found, order, axis=1)
        exact = np.take_along_axis(exact, order, axis=1)
        margin = 2 * 10.0**-DECIMALS
        settled = np.full(len(queries), n == 0 or fetch >= len(self))
        if n and not settled.all():
            settled = exact[:, n - 1] - exact[:, -1] > margin
        return found[:, :n], exact[:, :n], settled

    def _candidates(self, queries: NDArray[np.float32], n: int, fetch: int) -> NDArray[np.int64]:
        """[m, fetch] positions, in any order."""
        if fetch >= len(self):
            return np.tile(np.arange(len(self)), (len(queries), 1))
        queries = np.ascontiguousarray(queries)
        found: NDArray[np.int64]
        if self.kind == "flat":
            import faiss

            _, found = faiss.knn(queries, self.vectors, fetch, metric=faiss.METRIC_INNER_PRODUCT)
            return found
        if self.kind == "hnsw":
            self._index.hnsw.efSearch = max(64, 2 * fetch)
        _, found = self._index.search(queries, fetch)
        short = (found < 0).any(axis=1)
        if short.any():
            similarities = queries[short] @ self.vectors.T
            found[short] = np.argpartition(-similarities, fetch - 1, axis=1)[:, :fetch]
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` needs, for np.savez; a flat index is rebuilt from its vectors."""
        arrays: dict[str, NDArray[Any]] = {"vectors": self.vectors}
        if self.kind != "flat":
            import faiss

            arrays["index"] = faiss.serialize_index(self._index)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], kind: IndexKind, probes: int) -> NeighbourIndex:
        """The index that `to_arrays` described."""
        if kind == "flat":
            return cls(arrays["vectors"], kind, probes)
        import faiss

        index = cls.__new__(cls)
        index.vectors, index.kind, index.probes = arrays["vectors"], kind, probes
        index._index = faiss.deserialize_index(arrays["index"])
        return index


def _similarities(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """[f] cosine of [f, d] unit rows with one [d] unit query, rounded."""
    return np.round(vectors.astype(np.float64) @ query.astype(np.float64), DECIMALS)


def _build(vectors: NDArray[np.float32], kind: IndexKind, probes: int) -> Any:
    size, dimension = vectors.shape
    index: Any
    if kind == "flat":
        return None  # searched by faiss.knn, which reads the vectors where they are
    import faiss

    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
    else:
        # At least 39 vectors a cluster, below which faiss' k-means warns.
        clusters = max(1, min(int(size**0.5), size // 39))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dimension), dimension, clusters, faiss.METRIC_INNER_PRODUCT
        )
        index.nprobe = min(probes, clusters)
        index.train(vectors)
    threads = faiss.omp_get_max_threads()
    # Several threads would link an HNSW graph in an order of their own, a different one each time.
    faiss.omp_set_num_threads(1 if kind == "hnsw" else threads)
    try:
        index.add(vectors)
    finally:
        faiss.omp_set_num_threads(threads)
    return index
