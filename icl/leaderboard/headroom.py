"""How much better choosing could have done: the worst, the best, and what an oracle picks for each query.

Of a row: over its seeds. Of a section: over its rows, majority class left out. An oracle is right on a query
where any of them is; both `best` and `oracle` are picked with the golds of the test set, so that they bound
what a better choice could reach and are no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.leaderboard.intervals import Floats, Interval, filled, interval_of_mean
from icl.leaderboard.measures import Values


@dataclass(frozen=True, slots=True)
class Headroom:
    """Of a row over its seeds."""

    worst: float
    best: float
    oracle: float | None
    """None for a metric that is no mean of scores."""
    of_rows: Interval | None = None
    """The oracle over the rows of the section, on what all of them were asked; None with one row, for a
    metric that is no mean, or where they have no query in common."""
    rows: int = 0
    """Rows that it picks from."""


def headroom(values: Values) -> Headroom:
    """Over the seeds of a row."""
    by_seed = values.weighted(np.ones((1, values.shape[1])))[0]
    oracle = None if values.scores is None else float(np.nanmean(np.fmax.reduce(values.scores, axis=0)))
    return Headroom(float(np.nanmin(by_seed)), float(np.nanmax(by_seed)), oracle)


def oracle_of_rows(cube: Floats | None, level: float = 0.95) -> Interval | None:
    """Interval of the mean of the highest score among rows; scores [rows, S, Q]."""
    if cube is None or len(cube) < 2:
        return None
    return interval_of_mean(filled(np.fmax.reduce(cube, axis=0)), level)


def common(tables: Sequence[tuple[Sequence[int], Sequence[str], Floats]]) -> Floats | None:
    """Tables of (seeds, queries, numbers [S, Q]) on the seeds and queries that all have: [tables, S, Q]; None
    where there are none."""
    seeds = [s for s in tables[0][0] if all(s in other for other, _, _ in tables)]
    queries = set(tables[0][1]).intersection(*(names for _, names, _ in tables))
    kept = [name for name in tables[0][1] if name in queries]
    if not seeds or not kept:
        return None
    stacked = []
    for own_seeds, own_queries, numbers in tables:
        rows = {seed: at for at, seed in enumerate(own_seeds)}
        columns = {name: at for at, name in enumerate(own_queries)}
        picked = np.ix_([rows[s] for s in seeds], [columns[q] for q in kept])
        stacked.append(numbers[picked])
    return np.array(stacked)
