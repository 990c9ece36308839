"""A grid by its shape alone: what the trie of its requests looks like, whatever the texts.

Lengths are taken as even, so that the trie is one of equal levels and every quantity of a cut has a closed
form: 100,000,000 requests take no more memory than one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Literal, get_args

import numpy as np

from icl.engine.trie.preorder import Int
from icl.executors.cutting import Loads


class EvenTree:
    """`Cuttable` of a trie whose nodes of a level all have the same length and as many children.

    levels: (children of each node above, tokens), from the root down; the last are requests. cost: of what
    stands below each.
    """

    def __init__(self, levels: Sequence[tuple[int, int]], cost: float) -> None:
        self.count = prod(children for children, _ in levels)
        self.cost = cost
        below, left = [], self.count
        for children, tokens in levels:
            left //= max(children, 1)
            below.append((left, tokens))
        # a level without tokens divides nothing
        self._levels = [(requests, tokens) for requests, tokens in below if tokens]

    @property
    def tokens(self) -> int:
        """Of all prompts, each shared prefix once."""
        return sum(tokens * (self.count // requests) for requests, tokens in self._levels)

    def _ahead(self, s: int) -> float:
        nodes = sum(tokens * -(-s // requests) for requests, tokens in self._levels)
        return nodes + self.cost * s

    def ahead(self, s: Int) -> Loads:
        """As of `Cuttable`."""
        return np.array([self._ahead(at) for at in s.tolist()], dtype=np.float64)

    def shared(self, s: Int) -> Int:
        """As of `Cuttable`."""
        shared = np.zeros(len(s), dtype=np.int64)
        for requests, tokens in self._levels:
            shared += tokens * (s % requests != 0)
        return shared

    def first_at(self, places: Loads, *, past: bool = False) -> Int:
        """As of `Cuttable`."""
        search = bisect_right if past else bisect_left
        inner = range(1, self.count)
        return np.array([search(inner, p, key=self._ahead) + 1 for p in places.tolist()], dtype=np.int64)

    def best(self, low: int, high: int, place: float) -> int:
        """As of `Cuttable`."""
        for step in (*(requests for requests, _ in self._levels), 1):
            first, last = -(-low // step) * step, (high - 1) // step * step
            if first <= last:
                break
        beside = bisect_left(range(first, last, step), place, key=self._ahead) * step + first
        near = [s for s in (beside - step, beside) if first <= s <= last]
        return min(near, key=lambda s: abs(self._ahead(s) - place))


Demonstrations = Literal["fixed", "query"]
DEMONSTRATIONS = get_args(Demonstrations)


@dataclass(frozen=True, slots=True)
class GridShape:
    """What is asked; lengths in tokens, of the average."""

    queries: int
    cells: int = 1
    """Rows of the grid that are asked side by side: selectors, orders, methods, shots."""
    seeds: int = 1
    demonstrations: Demonstrations = "query"
    """The same for all queries of a cell and seed, or chosen for each query."""
    shots: int = 4
    labels: int = 2
    """Scored after each prompt; 0 where a text is written."""
    samples: int = 0
    """Written after each prompt."""
    instruction: int = 20
    demonstration: int = 50
    query: int = 30
    label: int = 1
    written: int = 0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "demonstrations":
                if value not in DEMONSTRATIONS:
                    raise ValueError(f"demonstrations is {value!r}; allowed: {', '.join(DEMONSTRATIONS)}")
                continue
            least = int(one.name in ("queries", "cells", "seeds", "query", "label"))
            if type(value) is not int or value < least:
                raise ValueError(f"{one.name} is {value!r}; allowed: a whole number, at least {least}")

    @property
    def requests(self) -> int:
        """One for each query in each cell under each seed."""
        return self.queries * self.cells * self.seeds

    @property
    def prompt(self) -> int:
        """Tokens of a prompt."""
        return self.instruction + self.shots * self.demonstration + self.query

    @property
    def read_below(self) -> int:
        """Tokens of the labels below a prompt; the last of each predicts nothing that is asked."""
        return self.labels * (self.label - 1)

    @property
    def written_below(self) -> int:
        """Tokens written below a prompt."""
        return self.samples * self.written

    @property
    def own_tokens(self) -> int:
        """Below all prompts, labels and what is written."""
        return self.requests * (self.read_below + self.written_below)

    def tree(self, cost: float) -> EvenTree:
        """Its trie; cost: the load below each prompt."""
        sets, shown = self.cells * self.seeds, self.shots * self.demonstration
        if self.demonstrations == "fixed":
            return EvenTree([(1, self.instruction), (sets, shown), (self.queries, self.query)], cost)
        return EvenTree([(1, self.instruction), (sets * self.queries, shown + self.query)], cost)

    def windows(self, most: int | None) -> list[tuple[GridShape, int]]:
        """What is asked together, and how often: at most so many requests (None: all), but no less than a
        query in all cells. As a run goes: seed by seed, and within one query by query."""
        a_seed = self.queries * self.cells
        if most is None or most >= self.requests:
            return [(self, 1)]
        if most >= a_seed:
            parts = _parts(self.seeds, most // a_seed)
            return [(replace(self, seeds=seeds), times) for seeds, times in parts]
        parts = _parts(self.queries, max(most // self.cells, 1))
        return [(replace(self, seeds=1, queries=n), times * self.seeds) for n, times in parts]


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    """(size of a part, how many of that size)."""
    whole, rest = divmod(count, size)
    return [part for part in ((size, whole), (rest, 1)) if all(part)]
