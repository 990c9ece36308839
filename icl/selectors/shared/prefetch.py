"""The nearest neighbours of many queries at once, as arrays: what MMR and DPP choose among."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from icl.encoders.neighbours import IndexKind, NeighbourIndex
from icl.errors import ConfigError
from icl.protocols import Encoder, Resources
from icl.selectors.shared.exclusion import Candidates
from icl.types import Example, Query

Real = TypeVar("Real", np.float32, np.float64)

BATCH = 256
"""Queries worked on together: 256 x 100 neighbours x 384 floats are 39 MB."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The allowed neighbours of m queries, nearest first; n columns, padded at the end of a row."""

    positions: NDArray[np.int64]
    """[m, n] in the pool; a padded cell holds 0."""
    similarities: NDArray[np.float64]
    """[m, n] cosine with the query; a padded cell holds -inf."""
    allowed: NDArray[np.bool_]
    """[m, n] False where padded."""


def allowed_first(
    positions: NDArray[np.int64],
    similarities: NDArray[np.float64],
    forbidden: Sequence[frozenset[int]],
    n: int,
) -> Neighbours:
    """The first n columns of each row that its query may have, ties by position.

    `positions`, `similarities`: [m, r], nearest first, r >= n + the most that is forbidden to one
    query, or the whole pool.
    """
    allowed = np.ones(positions.shape, dtype=bool)
    for row, banned in enumerate(forbidden):
        if banned:
            allowed[row] = ~np.isin(positions[row], list(banned))
    columns = np.argsort(~allowed, axis=1, kind="stable")[:, :n]
    allowed = np.take_along_axis(allowed, columns, axis=1)
    return Neighbours(
        np.where(allowed, np.take_along_axis(positions, columns, axis=1), 0),
        np.where(allowed, np.take_along_axis(similarities, columns, axis=1), -np.inf),
        allowed,
    )


class Prefetch:
    """A pool's vectors, indexed, and the `size` nearest that each query may have.

    `owner`: the selector's name, for messages.
    """

    def __init__(
        self,
        owner: str,
        pool: Sequence[Example],
        resources: Resources,
        size: int,
        index: IndexKind,
        probes: int,
    ) -> None:
        if resources.encoder is None:
            raise ConfigError(f"selector {owner!r} needs an encoder")
        self.owner = owner
        self.size = size
        self.candidates = Candidates(pool, resources.duplicate_threshold)
        self.queries: Encoder = resources.encoder
        """Encodes queries; CEIL puts a trained one here."""
        self._index = NeighbourIndex(self.queries.encode([e.text for e in pool]), index, probes)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """[pool, d] unit rows."""
        return self._index.vectors

    def check(self, k: int) -> None:
        """ConfigError when k demonstrations are more than the pool or the prefetch holds."""
        self.candidates.check(k)
        if k > self.size:
            raise ConfigError(
                f"{k} demonstrations asked for, but selector {self.owner!r} chooses among the "
                f"prefetch = {self.size} nearest: raise its parameter prefetch"
            )

    def batches(self, queries: Sequence[Query], k: int) -> Iterator[tuple[int, Neighbours]]:
        """(number of the first query, neighbours of up to 256 queries from there).

        ConfigError for a query that leaves fewer than k.
        """
        forbidden = [self.candidates.forbidden(query) for query in queries]
        n = min(self.size, len(self.vectors))
        reach = n + max(map(len, forbidden), default=0)
        positions, similarities = self._index.search(self.queries.encode([q.text for q in queries]), reach)
        for start in range(0, len(queries), BATCH):
            part = slice(start, min(start + BATCH, len(queries)))
            near = allowed_first(positions[part], similarities[part], forbidden[part], n)
            for row in np.flatnonzero(near.allowed.sum(axis=1) < k):
                # Worded where the other selectors word it.
                at = start + int(row)
                self.candidates.first(positions[at].tolist(), forbidden[at], k, queries[at])
            yield start, near


def gram(vectors: NDArray[Any], positions: NDArray[np.int64], dtype: type[Real]) -> NDArray[Real]:
    """[m, n, n] cosines among the rows `positions` ([m, n]) of `vectors` ([pool, d] unit rows), in `dtype`.

    One matrix product a query, of a shape that does not depend on the batch: neither do the results.
    """
    rows = vectors[positions].astype(dtype, copy=False)
    # Each product takes a tenth of a millisecond: threads that meet after every one of them cost
    # more than they save, and on a busy machine a hundred times as much.
    with _blas().limit(limits=1, user_api="blas"):
        product: NDArray[Real] = rows @ rows.transpose(0, 2, 1)
    return product


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
