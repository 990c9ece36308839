"""Intervals and tests for a seeds x queries table of scores.

**Interval.** Of the mean over seeds and queries, for new seeds and new queries: icl.leaderboard.intervals.
One seed gives an interval over queries: it says nothing about other seeds.

**Test.** Paired sign-flip permutation over queries: under the null hypothesis the row and its
baseline are exchangeable on each query (in all seeds together). Exact when the patterns are no
more than the resamples. It speaks of new queries for *these* seeds; the interval speaks of new
seeds too. One seed with right/wrong scores: McNemar's exact test, the same test in closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from icl.leaderboard.intervals import (
    Interval,
    filled,
    interval_of_difference,
    interval_of_mean,
    p_of_difference,
)
from icl.leaderboard.measures import Floats, Values
from icl.seeding import generator

BLOCK = 1000
"""Resamples that are drawn from one stream."""
AT_ONCE = 2_000_000
"""Numbers (resamples x queries) looked at at once: bounds the memory, and stays where it is fast."""
KEPT = 400_000_000
"""Exchanges (resamples x queries) of one shape that are kept for other rows, a bit each."""
SAMPLED = "sign-flip permutation"
"""The test whose p is that of a sample of all exchanges."""
TIE = 1e-9
"""Two statistics nearer than this are the same number but for rounding."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two-sided p-value and the name of the test that gave it."""

    p: float
    name: str


class Resampler:
    """Intervals in closed form; permutation tests with streams named by their shape.

    Rows of one shape share their permutations (common random numbers), so no row's numbers depend
    on which other rows stand in the table.
    """

    def __init__(self, resamples: int = 10_000, seed: int = 0, level: float = 0.95) -> None:
        self.resamples = resamples
        self.seed = seed
        self.level = level
        self._blocks: dict[tuple[int, int], np.ndarray] = {}

    def interval(self, values: Values) -> Interval:
        """Interval of the mean over seeds."""
        return interval_of_mean(filled(pseudo_values(values)), self.level, estimate(values))

    def difference(self, row: Values, baseline: Values) -> Interval:
        """Interval of row minus baseline, two sets of values over the same seeds and queries."""
        gaps = pseudo_values(row) - pseudo_values(baseline)
        return interval_of_difference(filled(gaps), self.level, estimate(row) - estimate(baseline))

    def p_for_new_seeds(self, row: Values, baseline: Values) -> float:
        """Two-sided p of no difference, for new seeds and new queries; 1 with one seed."""
        gaps = pseudo_values(row) - pseudo_values(baseline)
        return p_of_difference(filled(gaps), estimate(row) - estimate(baseline))

    def test(self, row: Values, baseline: Values, same: Sequence[bool]) -> PairedTest:
        """Is the difference of row and baseline more than exchanging them by query would give?

        `same[q]`: both give the same answers on query q in every seed, so exchanging changes nothing.
        """
        if row.shape[0] == 1 and row.scores is not None and baseline.scores is not None:
            ours, theirs = row.scores[0], baseline.scores[0]
            if np.isin(ours, (0.0, 1.0)).all() and np.isin(theirs, (0.0, 1.0)).all():
                p = mcnemar(int((ours > theirs).sum()), int((ours < theirs).sum()))
                return PairedTest(p, "McNemar, exact")
        active = np.flatnonzero(~np.asarray(same, dtype=bool))
        if len(active) == 0:
            return PairedTest(1.0, f"{SAMPLED}, exact")
        exact = len(active) < 60 and 2 ** len(active) <= self.resamples

        def statistic(keep: Floats) -> Floats:
            gap = row.swapped(baseline, keep) - baseline.swapped(row, keep)
            return np.asarray(np.abs(np.nanmean(gap, axis=1)))

        observed = statistic(np.ones((1, row.shape[1])))[0]
        beyond = total = 0
        for keep in self._exchanges(row.shape[1], active, exact):
            beyond += int((statistic(keep) >= observed - TIE).sum())
            total += len(keep)
        if exact:
            return PairedTest(beyond / total, f"{SAMPLED}, exact")
        return PairedTest((beyond + 1) / (total + 1), SAMPLED)

    def _exchanges(self, queries: int, active: np.ndarray, exact: bool) -> Iterator[Floats]:
        """[B, Q] of 0/1, AT_ONCE numbers or one resample at most: 0 where row and baseline change places."""
        step = max(AT_ONCE // queries, 1)
        if exact:
            total = 2 ** len(active)
            for start in range(0, total, step):
                patterns = np.arange(start, min(start + step, total))
                keep = np.ones((len(patterns), queries))
                keep[:, active] = (patterns[:, None] >> np.arange(len(active))) & 1
                yield keep
            return
        for index, start in enumerate(range(0, self.resamples, BLOCK)):
            drawn = self._drawn(min(BLOCK, self.resamples - start), queries, index, step)
            for at in range(0, len(drawn), step):
                yield np.unpackbits(drawn[at : at + step], axis=1, count=queries).astype(float)

    def _drawn(self, rows: int, queries: int, index: int, step: int) -> np.ndarray:
        """The block's random exchanges, a bit each: uint8 [rows, Q / 8]; drawn `step` rows at a time."""
        drawn = self._blocks.get((queries, index))
        if drawn is None:
            stream = generator(self.seed, "permutation", f"{queries}/{index}")
            sizes = (min(step, rows - at) for at in range(0, rows, step))
            # uint32: the numbers that the default of 64 bits draws, in half of the memory
            draws = (stream.integers(2, size=(n, queries), dtype=np.uint32) for n in sizes)
            drawn = np.concatenate([np.packbits(piece.astype(bool), axis=1) for piece in draws])
            if queries * self.resamples <= KEPT:
                self._blocks[queries, index] = drawn
        return drawn


def estimate(values: Values) -> float:
    """The mean over seeds."""
    return float(np.nanmean(values.weighted(np.ones((1, values.shape[1])))))


def pseudo_values(values: Values) -> Floats:
    """[S, Q]: what each query adds to its seed's value. Scores where the metric is their mean, else
    Q v - (Q - 1) v(without the query), the jackknife's pseudo-values (Tukey 1958)."""
    if values.scores is not None:
        return values.scores
    seeds, queries = values.shape
    whole = values.weighted(np.ones((1, queries)))[0]  # [S]
    if queries == 1:
        return np.asarray(whole[:, None])
    found = np.empty((seeds, queries))
    for start in range(0, queries, BLOCK):
        stop = min(start + BLOCK, queries)
        without = np.ones((stop - start, queries))
        without[np.arange(stop - start), np.arange(start, stop)] = 0.0
        found[:, start:stop] = queries * whole[:, None] - (queries - 1) * values.weighted(without).T
    return found


def mcnemar(only_row: int, only_baseline: int) -> float:
    """Exact two-sided p from the numbers of queries that one side alone gets right."""
    if only_row + only_baseline == 0:
        return 1.0
    below = special.bdtr(min(only_row, only_baseline), only_row + only_baseline, 0.5)
    return min(2.0 * float(below), 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm (1979) step-down adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = running
    return adjusted
