"""How many more queries or seeds would settle a difference of the size that was seen.

A difference is settled where its p for new seeds and new queries is below the level. The power of that
test: the difference found is normal around the true one, the seeds' mean square is a chi-square of seeds - 1
degrees of freedom, over which the rest is averaged; the mean square of the queries, which has many, is as it
was estimated. Variances are those of the paired differences (icl.leaderboard.components). Both the size and
the variances are estimates: the answer says of what order the missing numbers are, and no more.
`detectable` (Card et al. 2020) does not rest on the size seen: it is the smallest difference that seeds and
queries as they are would settle in four runs of five.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from icl.leaderboard.components import Components
from icl.leaderboard.intervals import IMAGINED, TEST_FLOOR, Floats, student

LEVEL = 0.05
WANTED = 0.8
"""Power that counts as enough."""
MOST_QUERIES = 1_000_000
MOST_SEEDS = 1_000
QUANTILES = 200
"""Of the chi-square that is averaged over."""


@dataclass(frozen=True, slots=True)
class Power:
    """Of one comparison, at the level that the table's correction leaves to it."""

    now: float
    """Chance that new seeds and queries, as many, settle a difference of the size seen."""
    detectable: float | None
    """Smallest difference that they settle in 80 %; None where not even 1 would be."""
    queries: int | None
    """With as many seeds; None where no number of queries is enough."""
    seeds: int | None
    """With as many queries; None where more than MOST_SEEDS would be needed."""


def power_of(difference: float, found: Components, level: float = LEVEL) -> Power | None:
    """None with one seed, which says nothing of how much seeds differ."""
    seeds, queries = found.shape
    if found.seed is None or queries < 2:
        return None
    size = abs(difference)
    return Power(
        chance(size, found, seeds, queries, level),
        _detectable(found, level),
        _least(lambda n: chance(size, found, seeds, n, level), 2, MOST_QUERIES) if size else None,
        _least(lambda n: chance(size, found, n, queries, level), 2, MOST_SEEDS) if size else None,
    )


def chance(difference: float, found: Components, seeds: int, queries: int, level: float = LEVEL) -> float:
    """Power of the two-sided test for new seeds and queries, with two or more of either."""
    of_seed, noise = found.seed or 0.0, found.rest / (seeds * queries)
    whole = queries + 2 * IMAGINED
    # two imagined queries, one for each side: a distance of 1 each
    of_queries = found.query / queries + noise + 2 * IMAGINED / ((queries - 1) * whole)
    between = (of_seed / seeds + noise) * _mean_squares(seeds - 1)
    own = np.maximum(between - noise, TEST_FLOOR * between)
    tail = level / 2
    half = np.sqrt(student(tail, queries - 1) ** 2 * of_queries + student(tail, seeds - 1) ** 2 * own)
    spread = np.sqrt(of_seed / seeds + found.query / queries + noise)
    limit = half * whole / queries
    if spread == 0:
        return float(np.mean(difference > limit))
    beyond = stats.norm.sf((limit - difference) / spread) + stats.norm.sf((limit + difference) / spread)
    return float(np.mean(beyond))


@lru_cache(maxsize=256)
def _mean_squares(df: int) -> Floats:
    """Evenly spaced quantiles of a mean square whose expectation is 1."""
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.asarray(stats.chi2.ppf(at, df) / df)


def _detectable(found: Components, level: float) -> float | None:
    seeds, queries = found.shape

    def short(size: float) -> float:
        return chance(size, found, seeds, queries, level) - WANTED

    return float(optimize.brentq(short, 0.0, 1.0, xtol=1e-5)) if short(1.0) > 0 else None


def _least(power: Callable[[int], float], low: int, high: int) -> int | None:
    """The smallest number from which on the power is enough; it grows with the number."""
    if power(high) < WANTED:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= WANTED else (middle + 1, high)
    return low
