"""How far two ways of labelling agree: shares with Wilson intervals, tables of counts, Cohen's kappa, areas.

Intervals of what is no share come from resampling the items, which for a table of counts is a draw from the
multinomial distribution of its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4_000
Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def plain(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def share(hits: int, of: int) -> Estimate | None:
    """A share with its Wilson interval; None of none."""
    from scipy.stats import binomtest

    if not of:
        return None
    interval = binomtest(hits, of).proportion_ci(method="wilson")
    return Estimate(hits / of, float(interval.low), float(interval.high))


def table(ours: Sequence[str], theirs: Sequence[str], labels: Sequence[str]) -> Counts:
    """Counts [L, L]: rows what `ours` say, columns what `theirs` say. ValueError for an unknown label."""
    place = {label: at for at, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    for mine, its in zip(ours, theirs, strict=True):
        if mine not in place or its not in place:
            raise ValueError(
                f"the label {mine if mine not in place else its!r} is none of {', '.join(labels)}"
            )
        counts[place[mine], place[its]] += 1
    return counts


def kappas(tables: Counts) -> Counts:
    """Cohen's kappa of tables [..., L, L]; NaN where chance alone agrees on everything, or without items."""
    n = tables.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(tables, axis1=-2, axis2=-1) / n
        chance = (tables.sum(-1) * tables.sum(-2)).sum(-1) / n**2
        return np.asarray((observed - chance) / (1 - chance))


def kappa(counts: Counts, seed: int = 0) -> Estimate | None:
    """Cohen's kappa with a percentile bootstrap interval over items (Cohen 1960); None where it is undefined:
    without items, or where both say one label only."""
    return bootstrap(counts, kappas, seed)


def bootstrap(counts: Counts, of: Callable[[Counts], Counts], seed: int = 0) -> Estimate | None:
    """`of` maps counts [..., *shape] to numbers [...]. The interval is of the resamples in which it is
    defined; None where it is not defined for the counts themselves."""
    value = float(of(counts))
    if np.isnan(value):
        return None
    n = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=RESAMPLES)
    found = of(drawn.reshape(RESAMPLES, *counts.shape).astype(float))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def mean_of_values(values: list[float], seed: int = 0) -> Estimate | None:
    """The mean of numbers of which few are distinct, with a percentile bootstrap interval; None of none."""
    if not values:
        return None
    distinct = np.array(sorted(set(values)))
    counts = np.array([values.count(value) for value in distinct], dtype=float)
    return bootstrap(counts, lambda drawn: np.asarray((drawn * distinct).sum(-1) / drawn.sum(-1)), seed)


def area(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Area under the ROC curve of `scores` for `positive`; None where all are or none is."""
    from sklearn.metrics import roc_auc_score

    if len(set(positive)) < 2:
        return None
    return float(roc_auc_score(positive, scores))
