"""How far apart orders are, and how far apart they would be if order did not matter.

If it does not, what a query is answered under one order could as well have been answered under any other: the
answers to a query are dealt anew among the orders, each query by itself. What is left is the noise of a
finite test set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Against:
    """A value beside the same of data in which there is nothing."""

    value: float
    low: float
    high: float
    """Of 95 % of what chance gives."""
    mean: float
    """Of what chance gives."""
    p: float
    """The share of what chance gives that is at least as large, the value itself counted."""

    @classmethod
    def of(cls, value: float, chance: Floats) -> Against:
        """`chance` [times]. Sums of floats that are equal in exact numbers count as equal."""
        low, high = np.quantile(chance, [0.025, 0.975])
        p = (1 + int((chance >= value - 1e-12).sum())) / (1 + len(chance))
        return cls(value, float(low), float(high), float(chance.mean()), p)

    def __str__(self) -> str:
        return (
            f"{self.value:.3f}, by chance {self.mean:.3f} [{self.low:.3f}, {self.high:.3f}], p {self.p:.4f}"
        )


def spread(rows: Floats) -> Floats:
    """SD over orders of means over queries: [..., orders, queries, labels] -> [...], root mean square over
    labels."""
    variance = rows.mean(axis=-2).var(axis=-2, ddof=1)
    return np.asarray(np.sqrt(variance.mean(axis=-1)))


def indicators(answers: NDArray[np.int64], labels: int) -> Floats:
    """[orders, queries] numbers of labels -> [orders, queries, labels] of zeros and ones."""
    return np.asarray(np.eye(labels)[answers])


def dealt(values: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    """[orders, queries] with the values of each query dealt anew among the orders."""
    return draw.permuted(values, axis=0)


def by_chance(values: NDArray[np.int64], labels: int, times: int, draw: np.random.Generator) -> Floats:
    """[times] spreads of [orders, queries] numbers below `labels` that are dealt anew."""
    return np.array([spread(indicators(dealt(values, draw), labels)) for _ in range(times)])


def due_to_order(rows: Floats) -> float:
    """SD over orders without the noise of the test set, [orders, queries, labels]: the variance of means
    less what dealing anew gives on average, which is the sum over queries of their variance over orders by
    queries squared; 0 where there is nothing left."""
    noise = rows.var(axis=0, ddof=1).sum(axis=0) / rows.shape[1] ** 2
    return float(np.sqrt(max(0.0, float((rows.mean(axis=1).var(axis=0, ddof=1) - noise).mean()))))


def rank_correlation(values: Floats, scores: Sequence[float]) -> Floats | None:
    """Spearman's, of each row of values [..., n] with scores [n]. None where one of them is constant."""
    from scipy.stats import rankdata

    one, other = rankdata(values, axis=-1), rankdata(scores)
    one, other = one - one.mean(axis=-1, keepdims=True), other - other.mean()
    norm = np.sqrt((one**2).sum(axis=-1) * (other**2).sum())
    return np.asarray(one @ other / norm) if norm.all() else None


def gain_of_best(values: Floats, scores: Sequence[float], keep: int) -> Floats:
    """Mean of the `keep` of each row of values [..., n] whose scores [n] are highest, less the mean of
    all; those that tie for the last places share them."""
    rows = np.asarray(scores, dtype=np.float64)
    threshold = np.sort(rows)[::-1][keep - 1]
    above, level = rows > threshold, rows == threshold
    weights = above + level * (keep - above.sum()) / level.sum()
    return np.asarray(values @ (weights / keep) - values.mean(axis=-1))
