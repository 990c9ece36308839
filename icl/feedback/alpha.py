"""Krippendorff's alpha (2004; computed as in his "Computing Krippendorff's Alpha-Reliability", 2011).

alpha = 1 - (n - 1) D_o / D_e over pairable values: D_o sums squared differences within units, each unit's
divided by its number of values less one, D_e those between all values. A difference is 0 or 1 (nominal),
that of the values (interval), or that of their places among all values (ordinal: the number of values below,
half of the equal ones counted, as they are in the resample).

All three are sums over units of what does not depend on other units, but for the places. So thousands of
resamples are a few products of matrices [samples, units] x [units, values], and no table [units, values,
values] is made. The tests hold every figure against the library `krippendorff`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from icl.feedback.annotations import FIRST, SECOND, TIE, Said, Value
from icl.feedback.resampling import Bootstrap, Floats
from icl.metrics.shared.agreement import Estimate

NOMINAL, ORDINAL, INTERVAL = LEVELS = ("nominal", "ordinal", "interval")
ORDER = (FIRST, TIE, SECOND)


class Reliability:
    """Values of units that two annotators or more gave one to.

    counts: [U, V], sparse, how many annotators gave unit u value v; sizes [U]: how many gave one; item [U]:
    to which item a unit belongs; scores [V]: the values where they are numbers, else their place in the
    order of the domain.
    """

    def __init__(self, said: Sequence[Said]) -> None:
        units: dict[tuple[str, str], list[Value]] = {}
        for one in said:
            units.setdefault((one.item, one.unit), []).append(one.value)
        pairable = {unit: values for unit, values in units.items() if len(values) > 1}
        domain = _domain({value for values in pairable.values() for value in values})
        place = {value: at for at, value in enumerate(domain)}
        items = {item: at for at, item in enumerate(dict.fromkeys(item for item, _ in pairable))}
        self.items = len(items)
        self.item = np.array([items[item] for item, _ in pairable], dtype=np.intp)
        found = [(at, place[value]) for at, values in enumerate(pairable.values()) for value in values]
        self.counts = _table(found, len(pairable), len(domain))
        self.sizes = self.counts.sum(-1)
        numbers = [float(v) if isinstance(v, float) else float(at) for at, v in enumerate(domain)]
        self.scores = np.array(numbers)

    @property
    def units(self) -> int:
        """U."""
        return len(self.sizes)

    def alphas(self, level: str, weights: Floats) -> Floats:
        """[B] for weights of units [B, U]; NaN where all values are equal, or nothing can be paired."""
        per_value = weights @ self.counts  # [B, V]
        n = per_value.sum(-1)
        inner = weights / (self.sizes - 1)  # [B, U]
        if level == NOMINAL:
            observed = n - inner @ (self.counts.power(2).sum(-1) - self.sizes)
            expected = n**2 - (per_value**2).sum(-1)
        else:
            places = self._places(level, per_value)
            first = places @ self.counts.T  # [B, U]
            squares = places**2 @ self.counts.T
            mean_square = (per_value * places**2).sum(-1)
            observed = 2 * mean_square - 2 * (inner * (first**2 - squares)).sum(-1)
            expected = 2 * n * mean_square - 2 * (per_value * places).sum(-1) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(expected > 1e-12 * n**2, 1 - (n - 1) * observed / expected, np.nan))

    def _places(self, level: str, per_value: Floats) -> Floats:
        """[B, V]: of values, around their mean, so that squares keep their digits."""
        if level == INTERVAL:
            places = np.broadcast_to(self.scores / (np.ptp(self.scores) or 1.0), per_value.shape)
        else:
            places = (np.cumsum(per_value, -1) - per_value / 2) / per_value.sum(-1, keepdims=True)
        mean = (places * per_value).sum(-1, keepdims=True) / per_value.sum(-1, keepdims=True)
        return np.asarray(places - mean)

    def alpha(self, level: str, bootstrap: Bootstrap, name: str = "") -> Estimate | None:
        """With its interval over items; None where it is not defined, or there are fewer than two items."""
        if self.items < 2:
            return None
        value = float(self.alphas(level, np.ones((1, self.units)))[0])
        draws = bootstrap.weights(self.items, "alpha", name)
        return bootstrap.estimate(value, [self.alphas(level, drawn[:, self.item]) for drawn in draws])


def _table(places: Sequence[tuple[int, int]], units: int, values: int) -> Any:
    """Counts [units, values] of places: of a scale with many values most are 0."""
    from scipy.sparse import coo_array

    rows, columns = (
        (np.array(part, dtype=np.intp) for part in zip(*places, strict=True)) if places else ([], [])
    )
    return coo_array((np.ones(len(places)), (rows, columns)), shape=(units, values)).tocsr()


def _domain(values: set[Value]) -> list[Value]:
    """Distinct values in their order: numbers by size, outcomes of a pair by who is better, others as
    texts."""
    texts = [value for value in values if isinstance(value, str)]
    if texts and set(texts) <= set(ORDER):
        return [value for value in ORDER if value in values]
    return [*sorted(value for value in values if isinstance(value, float)), *sorted(texts)]
