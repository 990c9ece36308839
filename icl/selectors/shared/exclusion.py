"""What a query must never be given: itself, and near duplicates of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from icl.errors import ConfigError
from icl.tasks.duplicates import DuplicateIndex
from icl.types import Example, Query


class Candidates:
    """A pool, and for each query the positions in it that are allowed as demonstrations."""

    def __init__(self, pool: Sequence[Example], duplicate_threshold: float) -> None:
        self.pool = tuple(pool)
        self._position = {example.id: at for at, example in enumerate(self.pool)}
        self._duplicates = DuplicateIndex(self.pool, duplicate_threshold)

    def forbidden(self, query: Query) -> frozenset[int]:
        """Positions of the query itself and of its duplicates."""
        return frozenset(self._position[name] for name in self._duplicates.matches(query))

    def check(self, k: int) -> None:
        """ConfigError when k demonstrations are more than the pool holds, or fewer than none."""
        if k < 0:
            raise ConfigError(f"{k} demonstrations asked for; allowed: 0 to {len(self.pool)} (the pool)")
        if k > len(self.pool):
            raise ConfigError(f"{k} demonstrations asked for, but the pool has {len(self.pool)} examples")

    def first(self, ranking: Iterable[int], forbidden: frozenset[int], k: int, query: Query) -> list[int]:
        """The first k positions of `ranking` that are allowed.

        `ranking` holds every position that may be needed, best first. ConfigError where it gives
        fewer than k: the query's own copies have left too little of the pool.
        """
        taken: list[int] = []
        for position in ranking:
            if len(taken) == k:
                break
            if position not in forbidden:
                taken.append(int(position))
        if len(taken) < k:
            raise ConfigError(
                f"{k} demonstrations asked for, but query {query.id!r} leaves {len(taken)} of the pool's "
                f"{len(self.pool)} examples: the others are the query itself or duplicates of it"
            )
        return taken
