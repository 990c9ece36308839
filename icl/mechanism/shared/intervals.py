"""95 % intervals: by the bootstrap over queries (or whatever the rows are), by Student's t over few sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from icl.seeding import generator


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; both ends are the value where there is a single row."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool | None:
        """Whether the value is above zero; None where the interval holds zero."""
        return True if self.low > 0 else False if self.high < 0 else None

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean(rows: ArrayLike, resamples: int) -> Estimate:
    """The mean of rows [n], by percentiles of the means of resampled rows."""
    values = np.asarray(rows, dtype=np.float64)
    return _estimate(float(values.mean()), values[_again(len(values), resamples)].mean(axis=1))


def mean_of_few(values: ArrayLike) -> Estimate:
    """The mean of independent values [n] by Student's t: of a few sets of demonstrations a bootstrap is too
    narrow.

    ValueError below two values, of which nothing can be said.
    """
    from scipy.special import stdtrit

    rows = np.asarray(values, dtype=np.float64)
    if len(rows) < 2:
        raise ValueError("an interval needs two values at least")
    middle = float(rows.mean())
    half = float(stdtrit(len(rows) - 1, 0.975) * rows.std(ddof=1) / np.sqrt(len(rows)))
    return Estimate(middle, middle - half, middle + half)


def share(part: ArrayLike, whole: ArrayLike, resamples: int) -> Estimate | None:
    """sum(part) / sum(whole) of rows [n]. None where the whole is zero."""
    return share_difference(part, whole, np.zeros(np.shape(part)), np.ones(np.shape(part)), resamples)


def share_difference(
    part: ArrayLike, whole: ArrayLike, other_part: ArrayLike, other_whole: ArrayLike, resamples: int
) -> Estimate | None:
    """One share less another, both of the same rows. Resamples in which a whole is zero are drawn past. None
    where a whole is zero in the rows themselves."""
    rows = np.stack([np.asarray(x, dtype=np.float64) for x in (part, whole, other_part, other_whole)])
    sums = rows.sum(axis=1)
    if sums[1] == 0 or sums[3] == 0:
        return None
    drawn = rows[:, _again(rows.shape[1], resamples)].sum(axis=2)
    good = (drawn[1] > 0) & (drawn[3] > 0)
    spread = drawn[0][good] / drawn[1][good] - drawn[2][good] / drawn[3][good]
    return _estimate(float(sums[0] / sums[1] - sums[2] / sums[3]), spread)


def _estimate(value: float, spread: Sequence[float] | np.ndarray) -> Estimate:
    low, high = np.percentile(spread, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _again(count: int, resamples: int) -> np.ndarray:
    """Rows of each resample [resamples, count]: the same for all measures of as many rows, so that they are
    paired."""
    return generator(0, "study bootstrap", str(count)).integers(count, size=(resamples, count))
