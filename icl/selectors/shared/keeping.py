"""Training that cannot end below its start: the best weights by what it was not trained on are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Lasted:
    """How a training went, for the record of a run. Measures are of held-out items, higher is better."""

    start: float
    best: float
    kept: int
    """The epoch whose weights were kept; 0 is the start, untrained."""
    epochs: int
    """Epochs that were run."""

    @property
    def why(self) -> Mapping[str, float | str]:
        """As reasons of a demonstration."""
        return {
            "held_out_start": self.start,
            "held_out": self.best,
            "epoch_kept": float(self.kept),
            "epochs_run": float(self.epochs),
        }


class Keeper(Generic[W]):
    """Holds the best weights offered, the start among them: only what is strictly better replaces them.

    `patience`: epochs without a better one after which training should end.
    """

    def __init__(self, start: W, measure: float, patience: int) -> None:
        self.weights = start
        self._patience = patience
        self._start = self._best = measure
        self._kept = self._epochs = 0

    def offer(self, weights: W, measure: float) -> bool:
        """Weights after one more epoch, a copy. False: training should end. A measure that is no
        number is never better."""
        self._epochs += 1
        if measure > self._best:
            self.weights, self._best, self._kept = weights, measure, self._epochs
        return self._epochs - self._kept < self._patience

    @property
    def lasted(self) -> Lasted:
        """What happened so far."""
        return Lasted(self._start, self._best, self._kept, self._epochs)


def agreement(thought: Sequence[ArrayLike], scored: Sequence[ArrayLike]) -> float:
    """How far what is being trained ranks as the model does: -1 to 1.

    The mean, over held-out items, of the correlation of what it thinks of the item's candidates
    ([candidates]) with what the model scored after each. An item with equal values on a side counts as 0.
    All candidates speak, where a loss or the first few of a dozen items are mostly noise.
    """
    found = []
    for one, other in zip(thought, scored, strict=True):
        left, right = _centred(one), _centred(other)
        size = float(np.linalg.norm(left) * np.linalg.norm(right))
        found.append(float(left @ right) / size if size > 1e-9 else 0.0)
    return float(np.mean(found))


def _centred(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values, dtype=np.float64)
    return np.asarray(array - array.mean())
