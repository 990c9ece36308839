"""A mixture of hidden Markov models that share everything but how their slots follow one another.

A hidden state is a pair (value, slot), numbered value * slots + slot; it emits `table[value, slot]`, surely.
Value and slot move apart from one another: the value by one matrix for all, the slot by that of the concept.

Source: Xie et al. 2022, An Explanation of In-context Learning as Implicit Bayesian Inference, and the code of
its authors (p-lambda/incontext-learning, generate_data.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Streams: TypeAlias = Callable[[str, str], np.random.Generator]
"""A generator of its own for a purpose and an item, as `Work.generator`."""

DELIMITER = 0
"""The symbol between examples, that slot 0 emits."""
STAYING = 0.9
"""Weight of the identity in the transitions of values."""
SHARPNESS = 0.1
"""Temperature of the weights of permutations."""
FLATNESS = 10.0
"""Temperature of the first state."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Concepts with one table and one matrix of values.

    table: symbols [values, slots], column 0 the delimiter. values: [values, values]. slots: [concepts, slots,
    slots]. starts: [concepts, values * slots]. Rows of the matrices are distributions of what follows.
    """

    table: Ints
    values: Floats
    slots: Floats
    starts: Floats
    vocabulary: int

    @property
    def concepts(self) -> int:
        """How many."""
        return len(self.slots)

    def of(self, concepts: Sequence[int]) -> Mixture:
        """These concepts alone."""
        chosen = list(concepts)
        return Mixture(self.table, self.values, self.slots[chosen], self.starts[chosen], self.vocabulary)

    def transition(self, concept: int) -> Floats:
        """[states, states] of one concept, written out."""
        return np.kron(self.values, self.slots[concept])

    @property
    def emission(self) -> Floats:
        """[states, vocabulary]: one 1 a row."""
        return np.eye(self.vocabulary)[self.table.ravel()]


def softmax(scores: Floats) -> Floats:
    """Of one row of scores."""
    powers = np.exp(scores - scores.max())
    shares: Floats = powers / powers.sum()
    return shares


def permutations(rng: np.random.Generator, size: int) -> tuple[Floats, Ints]:
    """As many permutations of `size` things as there are things [size, size], and their weights [size].

    Weights: softmax of numbers from U(-.5, .5) over the temperature .1.
    """
    weights = softmax((rng.random(size) - 0.5) / SHARPNESS)
    return weights, np.stack([rng.permutation(size) for _ in range(size)])


def mixed(weights: Floats, orders: Ints) -> Floats:
    """The mixture of permutation matrices [size, size]: row i goes to orders[p, i] with weights[p]."""
    matrix: Floats = np.einsum("p,pij->ij", weights, np.eye(orders.shape[1])[orders])
    return matrix


def draw(streams: Streams, *, values: int, slots: int, vocabulary: int, concepts: int) -> Mixture:
    """A world. A concept does not change with the number of concepts, nor with the vocabulary."""
    table = streams("table", str(vocabulary)).integers(1, vocabulary, (values, slots))
    table[:, 0] = DELIMITER
    moves = (1 - STAYING) * mixed(*permutations(streams("values", ""), values))
    matrices, starts = [], []
    for concept in range(concepts):
        rng = streams("concept", str(concept))
        matrices.append(mixed(*permutations(rng, slots)))
        starts.append(softmax((rng.random(values * slots) - 0.5) / FLATNESS))
    kept = moves + STAYING * np.eye(values)
    return Mixture(table.astype(np.int64), kept, np.stack(matrices), np.stack(starts), vocabulary)
