"""Demonstrations drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from icl.components import check_flag
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import check_balance, positions_by_label, take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query


@selectors.register("random")
class Random:
    """Demonstrations drawn uniformly without replacement, for each query or once for all.

    `per_query`: a draw of its own for every query (from the experiment seed and the query's id), as
    in Brown et al. 2020; False: the same demonstrations for every query, as in studies of order and
    calibration (Lu et al. 2022, Zhao et al. 2021). A query that is among them, or near one of them,
    gets the next of the draw instead.
    `label_balanced`: the draw takes turns among the labels (in a random order of labels), so that
    with k a multiple of their number every label stands equally often. A label with fewer examples
    than that is an error.

    Draws are nested: the demonstrations at k = 4 are the first four of those at k = 8.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, *, per_query: bool = True, label_balanced: bool = False) -> None:
        check_flag("per_query", per_query)
        check_flag("label_balanced", label_balanced)
        self.per_query = per_query
        self.label_balanced = label_balanced

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Groups the pool by label where that is asked for."""
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._resources = resources
        everything = [list(range(len(pool)))]
        self._groups = positions_by_label(pool, resources.task.labels) if self.label_balanced else everything
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """k demonstrations a query, in the order drawn. ConfigError when the pool is too small, or
        a label's part of it to balance."""
        self._candidates.check(k)
        if self.label_balanced:
            check_balance("random", self._candidates.pool, self._resources.task.labels, k)
        shared = None if self.per_query else self._draw("")
        selected = []
        for query in queries:
            drawn = self._draw(query.id) if shared is None else shared
            taken = self._candidates.first(drawn, self._candidates.forbidden(query), k, query)
            selected.append(tuple(Demonstration(self._candidates.pool[at]) for at in taken))
        return selected

    def _draw(self, item: str) -> Sequence[int]:
        """Every position of the pool in a random order."""
        stream = self._resources.generator("selectors.random", item)
        if not self.label_balanced:
            whole: list[int] = stream.permutation(len(self._candidates.pool)).tolist()
            return whole
        order = stream.permutation(len(self._groups))
        return take_turns([stream.permutation(np.array(self._groups[at])).tolist() for at in order])
