"""Demonstrations named by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from icl.components import check_texts
from icl.errors import ConfigError, nearest
from icl.protocols import Resources, selectors
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query


@selectors.register("fixed")
class Fixed:
    """The demonstrations named by `ids`, in that order, or the first k of the pool.

    A query that is one of them, or near one of them, gets the next of the list; where a list of
    `ids` has no next, it gets fewer than k, which its prediction's demonstrations show.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, *, ids: Sequence[str] | None = None) -> None:
        if ids is not None:
            check_texts("ids", ids)
        self.ids = ids

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Finds the ids in the pool. ConfigError for one that is not there or is named twice."""
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        position = {example.id: at for at, example in enumerate(pool)}
        for at, name in enumerate(self.ids or ()):
            if name not in position:
                guess = nearest(name, position)
                hint = f" Did you mean {guess!r}?" if guess else ""
                raise ConfigError(f"selector 'fixed': the pool has no example {name!r}.{hint}")
            if name in list(self.ids or ())[:at]:
                raise ConfigError(f"selector 'fixed': ids names {name!r} twice")
        self._ranking = list(range(len(pool))) if self.ids is None else [position[i] for i in self.ids]
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The first k that each query may have. ConfigError when k is more than ids or the pool hold."""
        self._candidates.check(k)
        if k > len(self._ranking):
            raise ConfigError(
                f"{k} demonstrations asked for, but selector 'fixed' has {len(self._ranking)} ids"
            )
        selected = []
        for query in queries:
            forbidden = self._candidates.forbidden(query)
            reach = k if self.ids is None else min(k, sum(at not in forbidden for at in self._ranking))
            taken = self._candidates.first(self._ranking, forbidden, reach, query)
            selected.append(tuple(Demonstration(self._candidates.pool[at]) for at in taken))
        return selected
