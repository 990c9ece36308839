"""Intervals for the mean of a seeds x queries table, kept for new seeds as well as new queries.

One test set serves every seed, so the design is crossed. A two-way analysis of variance splits what
the table shows into three mean squares, here as variances of the mean: A = MS(queries) / SQ (the
queries, and the noise once), B = MS(seeds) / SQ (the seeds, and the noise once), E = MS(noise) / SQ.
The seeds' own share is B - E. It is estimated from a handful of seeds, so its quantile is Student's
with seeds - 1 degrees of freedom, that of the rest with queries - 1 (as Cochran 1964 combines them):

    h^2 = t(queries - 1)^2 A + t(seeds - 1)^2 max(B - E, B / 10)

The floor B / 10 keeps two seeds that agree by luck from counting as proof that seeds do not matter.
A metric that is no mean of scores (macro-F1) enters by its jackknife pseudo-values.

**A mean** between 0 and 1 gets the score interval of Wilson (1927) with the sample size that h implies
(Korn and Graubard 1998 do so with Clopper-Pearson): it needs no cutting at the bounds, and has a width
where everything is right. **A difference** gets estimate +- h.

Both see two imagined queries of weight 1/4, one at each end of the range, as Agresti and Coull (1998)
and Agresti and Min (2005) add observations: a table without any disagreement is no proof that there
is none. benchmarks/statistics.md says what these intervals cover, and what they cost in width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]

IMAGINED = 0.25
"""Weight of each of the two imagined queries."""
LEAST_P = 1e-9
"""No p for new seeds is said to be smaller."""
FLOOR = 0.1
"""Least share of the seeds' mean square that counts as their own in an interval."""
TEST_FLOOR = 0.5
"""The same in a test: its correction over many rows reaches far into the tail, where seeds that agree by
luck would do more harm."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high


@dataclass(frozen=True, slots=True)
class Spread:
    """What a table says of the variance of its mean."""

    queries: float
    """A: variance of the mean over queries, noise included."""
    seeds: float
    """max(B - E, floor B); 0 with one seed, of which nothing can be said."""
    shape: tuple[int, int]
    """(seeds, queries)."""

    @property
    def variance(self) -> float:
        """Of the mean, for new queries and new seeds."""
        return self.queries + self.seeds

    def half_width(self, level: float) -> float:
        """h, half the width of the plain interval."""
        tail = (1 - level) / 2
        square = student(tail, max(self.shape[1] - 1, 1)) ** 2 * self.queries
        if self.shape[0] > 1:
            square += student(tail, self.shape[0] - 1) ** 2 * self.seeds
        return float(np.sqrt(square))


def student(tail: float, df: float) -> float:
    """Student's t with `tail` above it."""
    return -float(special.stdtrit(df, tail))


def spread(table: Floats, ends: tuple[float, float], floor: float = FLOOR) -> Spread:
    """The components of a table [S, Q] without gaps; `ends` is the range of its entries."""
    seeds, queries = table.shape
    weights = np.r_[np.ones(queries), IMAGINED, IMAGINED]
    total = weights.sum()
    imagined = np.broadcast_to(np.array(ends), (seeds, 2))
    full = np.concatenate([table, imagined], axis=1)  # [S, Q + 2]
    by_query = full.mean(axis=0)
    by_seed = full @ weights / total
    centre = by_seed.mean()
    df_queries = max(queries - 1, 1)
    of_queries = float(weights @ (by_query - centre) ** 2) / df_queries / total
    if seeds == 1:
        return Spread(of_queries, 0.0, table.shape)
    between = float(by_seed.var(ddof=1)) / seeds
    rest = full - by_query - by_seed[:, None] + centre
    noise = float((rest**2 @ weights).sum()) / ((seeds - 1) * df_queries * seeds * total)
    return Spread(of_queries, max(between - noise, floor * between), table.shape)


def interval_of_mean(table: Floats, level: float = 0.95, value: float | None = None) -> Interval:
    """Interval of the mean of a table [S, Q]; entries are scores, or pseudo-values of a metric.

    value: the estimate, where it is not the mean of the table (pseudo-values). Values between 0 and
    1 get Wilson's interval, others a plain one.
    """
    estimate = float(table.mean()) if value is None else value
    if not 0.0 <= estimate <= 1.0:
        half = spread(table, (float(table.min()), float(table.max()))).half_width(level)
        return Interval(estimate, estimate - half, estimate + half)
    queries = table.shape[1]
    interval = _wilson(estimate, queries, spread(table, (0.0, 1.0)), level)
    constant = float(table.flat[0])
    if constant not in (0.0, 1.0) or not (table == constant).all():
        return interval
    # All right in every seed: never less sure than with one answer wrong.
    nearly = table.copy()
    nearly[0, 0] = 1.0 - constant
    other = _wilson(float(nearly.mean()), queries, spread(nearly, (0.0, 1.0)), level)
    if constant == 1.0:
        return Interval(1.0, max(interval.low, other.low), 1.0)
    return Interval(0.0, 0.0, min(interval.high, other.high))


def interval_of_difference(table: Floats, level: float = 0.95, value: float | None = None) -> Interval:
    """Interval of the mean of paired differences [S, Q] of two metrics between 0 and 1."""
    estimate = float(table.mean()) if value is None else value
    half = spread(table, (-1.0, 1.0)).half_width(level)
    centre = _centre_of_difference(estimate, table)
    low, high = centre - half, centre + half
    if -1.0 <= estimate <= 1.0:
        low, high = max(low, -1.0), min(high, 1.0)
    return Interval(estimate, min(low, estimate), max(high, estimate))


def p_of_difference(table: Floats, value: float | None = None) -> float:
    """Two-sided p of no difference for new seeds and new queries: the largest 1 - level at which an
    interval of the difference, with the floor B / 2, includes 0. 1 with one seed, which shows nothing
    about others."""
    if table.shape[0] == 1:
        return 1.0
    found = spread(table, (-1.0, 1.0), TEST_FLOOR)
    centre = abs(_centre_of_difference(float(table.mean()) if value is None else value, table))
    if centre == 0.0:
        return 1.0

    def beyond(p: float) -> float:
        return found.half_width(1 - p) - centre  # falls as p grows

    if beyond(LEAST_P) <= 0:
        return LEAST_P
    root: Any = optimize.brentq(beyond, LEAST_P, 1.0)
    return float(root)


def _centre_of_difference(value: float, table: Floats) -> float:
    """With the imagined queries, one for each side."""
    queries = table.shape[1]
    return float(value * queries / (queries + 2 * IMAGINED))


def _wilson(value: float, queries: int, found: Spread, level: float) -> Interval:
    """Wilson's interval with the size at which the plain one would be as wide as `found` says."""
    centre = (value * queries + IMAGINED) / (queries + 2 * IMAGINED)
    square = found.half_width(level) ** 2 / found.variance  # of the effective quantile
    size = centre * (1 - centre) / found.variance
    middle = (value + square / (2 * size)) / (1 + square / size)
    half = np.sqrt(square * value * (1 - value) / size + (square / (2 * size)) ** 2) / (1 + square / size)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return Interval(value, float(min(low, value)), float(max(high, value)))


def filled(table: Floats) -> Floats:
    """A table [S, Q] without gaps: what is absent (NaN) becomes its seed's mean, moved by its query's
    distance from the mean of all queries where another seed has that query."""
    gaps = np.isnan(table)
    if not gaps.any():
        return table
    here = (~gaps).astype(float)
    known = np.where(gaps, 0.0, table)
    by_seed = known.sum(axis=1) / np.maximum(here.sum(axis=1), 1)
    moved = np.where(gaps, 0.0, known - by_seed[:, None])
    by_query = moved.sum(axis=0) / np.maximum(here.sum(axis=0), 1)
    return np.asarray(np.where(gaps, by_seed[:, None] + by_query[None, :], table))
