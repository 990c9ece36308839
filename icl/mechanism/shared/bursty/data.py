"""Sequences of pairs (features, label) and a query, as in Chan et al. 2022, Data Distributional Properties
Drive Emergent In-Context Learning in Transformers; classes are random features, as in Reddy 2024, not
images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
PAIRS = 8
"""In the context of every sequence."""
REPEATED = 3
"""Pairs of the query's class in a bursty sequence, and as many of one other class."""


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """n sequences. features: [n, pairs + 1, dimension], the query's last. labels: [n, pairs], answer: [n].
    classes: [n, pairs + 1]."""

    features: Floats
    labels: Ints
    answer: Ints
    classes: Ints

    def shuffled(self, rng: np.random.Generator) -> Sequences:
        """With the labels of each context in another order: they say nothing of its features."""
        return Sequences(self.features, rng.permuted(self.labels, axis=1), self.answer, self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Classes. centres: [classes, dimension], entries N(0, 1 / dimension). labels: of each class [classes].
    noise: within a class, in units of the centres' deviation; features are divided by sqrt(1 + noise^2).
    zipf: the class of rank r has a probability in proportion to r^-zipf; 0: all alike."""

    centres: Floats
    labels: Ints
    noise: float
    zipf: float

    @property
    def frequencies(self) -> npt.NDArray[np.float64]:
        """Of classes [classes], the first is the most frequent."""
        weights = np.arange(1, len(self.centres) + 1, dtype=np.float64) ** -self.zipf
        shares: npt.NDArray[np.float64] = weights / weights.sum()
        return shares

    def classes(self, rng: np.random.Generator, *shape: int) -> Ints:
        """As frequent as they are."""
        ends = np.cumsum(self.frequencies)
        return np.minimum(ends.searchsorted(rng.random(shape), "right"), len(ends) - 1)

    def shown(self, rng: np.random.Generator, classes: Ints) -> Floats:
        """One member of each class [..., dimension]."""
        size = (*classes.shape, self.centres.shape[1])
        spread = rng.standard_normal(size, dtype=np.float32) * (self.noise / self.centres.shape[1] ** 0.5)
        shown: Floats = (self.centres[classes] + spread) / np.float32(math.sqrt(1 + self.noise**2))
        return shown

    def sequences(self, rng: np.random.Generator, number: int, bursty: float) -> Sequences:
        """As in training: a share `bursty` has three of the query's class, three of one other and two more;
        in the rest all classes are drawn alone. No class but those two is kept out of the rest of a
        context."""
        classes = self.classes(rng, number, PAIRS + 1)
        query = classes[:, -1]
        other = self._others(rng, query)
        filled = classes.copy()
        filled[:, :REPEATED] = query[:, None]
        filled[:, REPEATED : 2 * REPEATED] = other[:, None]
        filled[:, :-1] = rng.permuted(filled[:, :-1], axis=1)
        classes = np.where(rng.random(number)[:, None] < bursty, filled, classes)
        return self._of(rng, classes)

    def absent(self, rng: np.random.Generator, number: int) -> Sequences:
        """In-weights: no class of the context has the query's label; all as frequent as in training."""
        classes = self.classes(rng, number, PAIRS + 1)
        while True:
            same = self.labels[classes[:, :-1]] == self.labels[classes[:, -1:]]
            if not same.any():
                return self._of(rng, classes)
            classes[:, :-1][same] = self.classes(rng, int(same.sum()))

    def _others(self, rng: np.random.Generator, query: Ints) -> Ints:
        other = self.classes(rng, len(query))
        while (same := other == query).any():
            other[same] = self.classes(rng, int(same.sum()))
        return other

    def _of(self, rng: np.random.Generator, classes: Ints) -> Sequences:
        labels = self.labels[classes]
        return Sequences(self.shown(rng, classes), labels[:, :-1], labels[:, -1], classes)


def world(
    rng: np.random.Generator, classes: int, labels: int, dimension: int, noise: float, zipf: float
) -> World:
    """Fresh classes; where labels are fewer they are shared by as many classes each, drawn by lot."""
    centres = rng.standard_normal((classes, dimension), dtype=np.float32) / np.float32(dimension**0.5)
    return World(centres, rng.permutation(np.arange(classes) % labels), noise, zipf)


def two_way(rng: np.random.Generator, number: int, dimension: int, noise: float) -> Sequences:
    """In-context: two fresh classes a sequence, four pairs of each, labels 0 and 1 by lot, one of them
    asked."""
    pairs = world(rng, 2 * number, 2, dimension, noise, 0.0)
    sides = rng.permuted(np.tile(np.arange(PAIRS) % 2, (number, 1)), axis=1)
    sides = np.concatenate([sides, rng.integers(2, size=(number, 1))], axis=1)
    labels = sides ^ rng.integers(2, size=(number, 1))
    classes = 2 * np.arange(number)[:, None] + sides
    return Sequences(pairs.shown(rng, classes), labels[:, :-1], labels[:, -1], classes)
