"""How informative and how diverse sets of examples are (LENS), told from what each adds to a score set.

Nothing here asks a model: sets are composed from contributions that are known already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = tuple[int, ...]
"""A set of rows of `Filtered`, in prompt order."""

Scale = Literal["paper", "code"]
SCALES: tuple[Scale, ...] = ("paper", "code")

_SETS, _ROUNDS, _DRAWN = 16, 20, 10
"""The authors' search without a model: sets kept, rounds, and how many times as many sets it begins with."""
_REPEATED = 4
"""Members that a set of the start may share with all better ones together."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """What progressive filtering leaves."""

    positions: tuple[int, ...]
    """In the pool, best InfoScore first."""
    features: Floats
    """[survivors, score set]: what each example of the score set contributes to each InfoScore."""
    rounds: int

    @property
    def info(self) -> Floats:
        """[survivors] InfoScore."""
        return np.asarray(self.features.sum(axis=1), dtype=np.float64)


class Worth:
    """What a row adds to a set: s(e, E') = I(e) - lambda * sum over e' in E' of cos(f(e), f(e')).

    "code": z-scores of I over all rows and of the cosines over all pairs, a row with itself too
    (deviations with n - 1), and the mean of the cosines for their sum.
    """

    def __init__(self, filtered: Filtered, lambda_: float, scale: Scale) -> None:
        self._info, self._near = filtered.info, cosines(filtered.features)
        self._lambda, self._mean = lambda_, scale == "code"
        if scale == "code":
            self._info, self._near = _z_scores(self._info), _z_scores(self._near)

    def of(self, rows: Sequence[int], others: Sequence[int]) -> Floats:
        """[rows] s(e, `others`)."""
        near = self._near[np.ix_(rows, others)]
        penalty = near.sum(axis=1) / (max(len(others), 1) if self._mean else 1)
        return np.asarray(self._info[list(rows)] - self._lambda * penalty, dtype=np.float64)

    def of_set(self, rows: Sequence[int]) -> float:
        """Mean of I less lambda times the mean of all cosines within the set, a row with itself too."""
        chosen = list(rows)
        near = self._near[np.ix_(chosen, chosen)]
        return float(self._info[chosen].mean() - self._lambda * near.mean())


class Composer:
    """Draws sets and changes them. `kinds`: [rows], only one of its own kind (label) takes a row's place."""

    def __init__(
        self,
        worth: Worth,
        kinds: Sequence[int],
        draw: Callable[[], Rows],
        stream: np.random.Generator,
        top: int,
    ) -> None:
        self._worth, self._kinds, self.draw = worth, np.asarray(kinds), draw
        self._stream, self._top = stream, top

    def substitute(self, rows: Rows) -> Rows:
        """One member, drawn uniformly, replaced by one of its kind, drawn by softmax from the `top`
        best; the set as it is where there is none."""
        place = int(self._stream.integers(len(rows)))
        others = [row for at, row in enumerate(rows) if at != place]
        free = self._kinds == self._kinds[rows[place]]
        free[list(rows)] = False
        same = np.flatnonzero(free).tolist()
        if not same:
            return rows
        worth = self._worth.of(same, others)
        best = np.argsort(-worth, kind="stable")[: self._top]
        weights = np.exp(worth[best] - worth[best[0]])
        chosen = same[int(self._stream.choice(best, p=weights / weights.sum()))]
        return (*rows[:place], chosen, *rows[place + 1 :])

    def shuffle(self, rows: Rows) -> Rows:
        """The same set in another order."""
        return tuple(rows[at] for at in self._stream.permutation(len(rows)))

    def optimised(self, count: int) -> list[Rows]:
        """`count` sets that are good by `Worth.of_set`, each in a drawn order, as the authors begin.

        A beam search over sets, without the model; of all sets that it met the best, but none that
        shares more than 4 members with the better ones. What is missing then is drawn.
        """
        known: dict[Rows, float] = {}
        beam = [self.draw() for _ in range(_SETS * _DRAWN)]
        for _ in range(_ROUNDS):
            changed = [self.substitute(rows) for rows in beam for _ in range(_SETS)]
            sets = sorted({tuple(sorted(rows)) for rows in (*changed, *beam)})
            known |= {rows: self._worth.of_set(rows) for rows in sets if rows not in known}
            beam = sorted(sets, key=lambda rows: -known[rows])[:_SETS]
        chosen: list[Rows] = []
        used: set[int] = set()
        for rows in sorted(known, key=lambda rows: (-known[rows], rows)):
            if len(chosen) < count and len(used.intersection(rows)) <= _REPEATED:
                chosen.append(rows)
                used.update(rows)
        return [self.shuffle(rows) for rows in chosen] + [self.draw() for _ in range(count - len(chosen))]


def substitution_scores(
    filtered: Filtered, rows: Sequence[int], others: Sequence[int], lambda_: float, scale: Scale
) -> Floats:
    """[rows] s(e, others) of a `Worth` made for this one question."""
    return Worth(filtered, lambda_, scale).of(rows, others)


def cosines(features: Floats) -> Floats:
    """[n, n] cosines of rows; 0 for a row of zeros."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(norms > 0, norms, 1.0)
    return np.asarray(unit @ unit.T, dtype=np.float64)


def _z_scores(values: Floats) -> Floats:
    """Mean 0 and deviation 1 over all entries; zeros where all are alike."""
    centred = values - values.mean()
    deviation = float(centred.std(ddof=1)) if values.size > 1 else 0.0
    return np.asarray(centred / deviation if deviation > 1e-12 else np.zeros_like(values), dtype=np.float64)
