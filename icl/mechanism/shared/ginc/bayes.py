"""What Bayes's rule expects next, exactly: the forward algorithm over all sequences and concepts at once.

An emission is certain, so after a symbol only the states that emit it are possible, two of a hundred on
average. Only they are kept, one sequence behind the other, and a step multiplies what can follow what: some
ten products a sequence and concept instead of ten thousand. `plain.py` does the same by loops over sequences
and concepts with the matrices written out, and is the oracle.

With `begins`, sequences are what prompts of GINC are: examples that each begin anew in one unknown slot, the
delimiters between them put there. Without, a prompt is read as a document, as in the paper's argument; few
prompts are possible documents (the last slot of an example may never be followed by slot 0), so `leak` lets
any state follow any with a small probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from icl.mechanism.shared.ginc.mixture import Floats, Ints, Mixture

EVERY = 8
"""Steps between two scalings: the probability of so many is far above the smallest number."""


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """The last state of n sequences, by concept and beginning.

    states: [concepts, beginnings, n, values * slots], each row sums to 1, or 0 where nothing is possible.
    evidence: log-probability [concepts, beginnings, n], -inf where the sequence is impossible.
    """

    mixture: Mixture
    states: Floats
    evidence: Floats
    leak: float

    def of_chains(self, concepts: Ints, beginnings: Ints) -> Floats:
        """The next symbol [n, vocabulary] of sequence i if concepts[i] and beginnings[i] are known."""
        states = self.states[concepts, beginnings, np.arange(len(concepts))]
        following: Floats = np.matmul(states[:, None], self._following[concepts])[:, 0]
        return following

    @property
    def posterior(self) -> Floats:
        """[concepts, beginnings, n] after a uniform prior; nan where a sequence is impossible."""
        top = self.evidence.max(axis=(0, 1))
        with np.errstate(invalid="ignore"):
            powers = np.exp(self.evidence - top)
        chances: Floats = powers / powers.sum(axis=(0, 1))
        return chances

    def expected(self) -> Floats:
        """The posterior predictive [n, vocabulary]; nan where a sequence is impossible."""
        states = np.einsum("crn,crnh->cnh", self.posterior, self.states)
        following: Floats = np.matmul(states, self._following).sum(0)
        return following

    @property
    def _following(self) -> Floats:
        """What a state is followed by [concepts, states, vocabulary]."""
        matrices = np.stack([self.mixture.transition(at) for at in range(self.mixture.concepts)])
        following: Floats = leaking(matrices, self.leak) @ self.mixture.emission
        return following


def leaking(chances: Floats, leak: float, states: int = 0) -> Floats:
    """Distributions over states (the last axis, or as many as said), with a share of the uniform one."""
    found: Floats = (1 - leak) * chances + leak / (states or chances.shape[-1])
    return found


def read(
    mixture: Mixture,
    sequences: Ints,
    *,
    begins: Sequence[int] = (),
    beginnings: Floats | None = None,
    leak: float = 0.0,
) -> Filtered:
    """Reads n sequences of one length [n, length].

    begins: where examples after the first begin; the symbol before each is passed over. beginnings: of first
    states [concepts, beginnings, states], what the mixture says where None. leak: probability of a jump to
    any state, the first included. ValueError for a symbol that no state emits.
    """
    strangers = np.setdiff1d(sequences, mixture.table)
    if len(strangers):
        raise ValueError(f"symbol {strangers[0]} is emitted by no state")
    first = mixture.starts[:, None] if beginnings is None else beginnings
    return _Reader(mixture, first, leak).read(np.ascontiguousarray(sequences.T), frozenset(begins))


def in_one_slot(mixture: Mixture) -> Floats:
    """Beginnings of prompts [concepts, slots - 1, states]: any value, one slot from 1 on."""
    values, slots = mixture.table.shape
    grid = np.broadcast_to(np.eye(slots)[1:, None] / values, (slots - 1, values, slots))
    return np.broadcast_to(grid.reshape(slots - 1, -1), (mixture.concepts, slots - 1, values * slots))


class _Reader:
    """States are numbered by their symbols, those of symbol s from self.ends[s] on.

    What is alive is an array [concepts, live, beginnings]: of each sequence the states of its last symbol.
    """

    def __init__(self, mixture: Mixture, first: Floats, leak: float) -> None:
        self.mixture, self.leak = mixture, leak
        flat = mixture.table.ravel()
        self.order = np.argsort(flat, kind="stable")
        self.widths = np.bincount(flat, minlength=mixture.vocabulary)
        self.ends = np.concatenate([[0], np.cumsum(self.widths)])
        self.first = np.ascontiguousarray(leaking(first[:, :, self.order], leak).swapaxes(1, 2))
        self.blocks, self.source = self._by_pairs()
        # Where in self.blocks a pair of symbols begins: blocks of one first symbol lie together.
        before, now = np.divmod(np.arange(mixture.vocabulary**2), mixture.vocabulary)
        self.bases = self.ends[before] * flat.size + self.widths[before] * self.ends[now]

    def _by_pairs(self) -> tuple[Floats, Ints]:
        """Transitions [concepts, states^2], and which of its symbol's states the one before is [states^2].

        Sorted by symbol before, state now, state before.
        """
        states = np.arange(self.order.size)
        symbols = self.mixture.table.ravel()[self.order]
        local = states - self.ends[symbols]
        before, now = np.divmod(np.arange(states.size**2), states.size)
        ranks = np.lexsort((before, now, symbols[before]))
        moves = self.order[before[ranks]] * states.size + self.order[now[ranks]]
        dense = np.stack([self.mixture.transition(at).ravel()[moves] for at in range(self.mixture.concepts)])
        return leaking(dense, self.leak, states.size), local[before[ranks]]

    def read(self, symbols: Ints, begins: frozenset[int]) -> Filtered:
        """symbols: [length, n]."""
        alive = self._begun(symbols[0])
        evidence = np.zeros((len(alive), symbols.shape[1], alive.shape[2]))
        for at in range(1, len(symbols)):
            if at + 1 in begins:
                alive, evidence = self._scaled(alive, evidence, symbols[at - 1])
            elif at in begins:
                alive = self._begun(symbols[at])
            else:
                alive = self._stepped(alive, symbols[at - 1], symbols[at])
                if at % EVERY == 0:
                    alive, evidence = self._scaled(alive, evidence, symbols[at])
        alive, evidence = self._scaled(alive, evidence, symbols[-1])
        return Filtered(self.mixture, self._spread(alive, symbols[-1]), evidence.swapaxes(1, 2), self.leak)

    def _begun(self, symbols: Ints) -> Floats:
        return np.take(self.first, _runs(self.ends[symbols], self.widths[symbols]), axis=1)

    def _stepped(self, alive: Floats, before: Ints, now: Ints) -> Floats:
        """A product with a sparse matrix for each concept: a row for each state now, of all sequences."""
        wide, high = self.widths[before], self.widths[now]
        products = _runs(self.bases[before * self.mixture.vocabulary + now], wide * high)
        come = (self.source[products] + np.repeat(_starts(wide), wide * high)).astype(np.int32)
        rows = np.concatenate([[0], np.cumsum(np.repeat(wide, high))]).astype(np.int32)
        moves = np.take(self.blocks, products, axis=1)  # four times as fast as an index in brackets
        matrix = csr_array((moves[0], come, rows), (len(rows) - 1, alive.shape[1]))
        found = np.empty((len(alive), len(rows) - 1, alive.shape[2]))
        for concept, states in enumerate(alive):
            matrix.data = moves[concept]
            found[concept] = matrix @ states
        return found

    def _scaled(self, alive: Floats, evidence: Floats, symbols: Ints) -> tuple[Floats, Floats]:
        """Each sequence's states sum to 1 afterwards, or to 0 where it is impossible."""
        wide = self.widths[symbols]
        total = np.add.reduceat(alive, _starts(wide), axis=1)
        with np.errstate(divide="ignore"):
            evidence = evidence + np.log(total)
        return alive / np.repeat(np.where(total > 0, total, 1.0), wide, axis=1), evidence

    def _spread(self, alive: Floats, symbols: Ints) -> Floats:
        wide = self.widths[symbols]
        states = np.zeros((len(alive), alive.shape[2], len(symbols), self.order.size))
        at = self.order[_runs(self.ends[symbols], wide)]
        states[:, :, np.repeat(np.arange(len(symbols)), wide), at] = alive.swapaxes(1, 2)
        return states


def _starts(lengths: Ints) -> Ints:
    """Where runs of these lengths begin, one behind the other."""
    starts = np.cumsum(lengths)
    starts -= lengths
    return starts


def _runs(firsts: Ints, lengths: Ints) -> Ints:
    """first, first + 1, ... of each run, one behind the other."""
    return np.repeat(firsts - _starts(lengths), lengths) + np.arange(int(lengths.sum()))
