"""Variance components: how much of what a row's number varies by comes from where.

Moments of a random-effects analysis of variance (Searle, Casella and McCulloch 1992), on one score a
prediction [S, Q], or on pseudo-values where a metric is no mean:

    score = mean + seed + query + rest                       rest: seed x query, and noise
    score = mean + set + order + query + rest                of rows that differ in their orderer only

A seed draws the pool, and with it the set of demonstrations and perhaps their order. Where other rows show
the sets of this one in other orders, that is told apart: `set` is what all orders of a seed have in common,
`order` what the order adds, over all sets or in one of them. Estimates below 0 are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from icl.leaderboard.intervals import Floats


@dataclass(frozen=True, slots=True)
class Components:
    """Variances of one score, and what they are in the mean of the row."""

    seed: float | None
    """None with one seed, of which nothing can be said."""
    query: float
    rest: float
    """Seed x query and noise; with one seed 0, as it is in `query` then."""
    shape: tuple[int, int]
    """(seeds, queries) of the row."""
    seed_low: float | None = None
    """95 % interval of `seed`."""
    seed_high: float | None = None
    set: float | None = None
    """None without rows in other orders."""
    order: float | None = None
    orders: int = 1
    """Orderers that `set` and `order` were told apart by."""

    @property
    def of_mean(self) -> dict[str, float]:
        """What each adds to the variance of the row's mean: by more seeds the first and the last fall, by
        more queries the other two."""
        seeds, queries = self.shape
        return {
            "seed": (self.seed or 0.0) / seeds,
            "query": self.query / queries,
            "rest": self.rest / (seeds * queries),
        }

    @property
    def shares(self) -> dict[str, float]:
        """The same as shares of their sum; all 0 where nothing varies."""
        parts = self.of_mean
        total = sum(parts.values())
        return {name: part / total if total else 0.0 for name, part in parts.items()}


def components(table: Floats, level: float = 0.95) -> Components:
    """Of a table [S, Q] without gaps. The seeds' interval is that of Williams (1962) by the ratio of mean
    squares, with the noise as it was found."""
    seeds, queries = table.shape
    if seeds == 1:
        return Components(None, float(table.var(ddof=1)) if queries > 1 else 0.0, 0.0, table.shape)
    if queries == 1:
        return Components(float(table.var(ddof=1)), 0.0, 0.0, table.shape)
    squares = mean_squares(table)
    of_seeds, of_queries, rest = squares["0"], squares["1"], squares["01"]
    tail, df = (1 - level) / 2, (seeds - 1, (seeds - 1) * (queries - 1))
    high, low = (of_seeds / float(stats.f.ppf(at, *df)) for at in (tail, 1 - tail))
    return Components(
        max(of_seeds - rest, 0.0) / queries,
        max(of_queries - rest, 0.0) / seeds,
        rest,
        table.shape,
        max(low - rest, 0.0) / queries,
        max(high - rest, 0.0) / queries,
    )


def set_and_order(cube: Floats) -> tuple[float, float]:
    """Variances of set and order from scores [S, O, Q] of the same sets and queries in O orders."""
    seeds, orders, queries = cube.shape
    squares = mean_squares(cube)
    inner = max(squares["01"] - squares["012"], 0.0) / queries  # order within a set
    order = max(squares["1"] - squares["01"] - squares["12"] + squares["012"], 0.0) / (seeds * queries)
    of_set = squares["0"] - squares["01"] - squares["02"] + squares["012"]
    return max(of_set, 0.0) / (orders * queries), inner + order


def mean_squares(table: Floats) -> dict[str, float]:
    """Of a crossed design with one score a cell: "0" of the first axis, "01" of its interaction with the
    second, and so on; 0 where an axis has one level."""
    axes = range(table.ndim)
    effects: dict[str, Floats] = {"": np.asarray(table.mean(keepdims=True))}
    squares = {}
    for size in range(1, table.ndim + 1):
        for name in _names(axes, size):
            inside = [int(axis) for axis in name]
            others = tuple(axis for axis in axes if axis not in inside)
            effect = table.mean(axis=others, keepdims=True) if others else table
            effect = effect - sum(effects[part] for part in effects if set(part) < set(name))
            effects[name] = effect
            df = float(np.prod([table.shape[axis] - 1 for axis in inside]))
            repeats = float(np.prod([table.shape[axis] for axis in others]))
            squares[name] = repeats * float((effect**2).sum()) / df if df else 0.0
    return squares


def _names(axes: Sequence[int], size: int) -> list[str]:
    return ["".join(map(str, chosen)) for chosen in combinations(axes, size)]
