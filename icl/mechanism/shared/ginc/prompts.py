"""Prompts of GINC: independent examples of one concept that begin in one slot, then a query to complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from icl.mechanism.shared.ginc.bayes import in_one_slot, read
from icl.mechanism.shared.ginc.documents import walk
from icl.mechanism.shared.ginc.mixture import DELIMITER, Ints, Mixture, Streams

Kind = Literal["seen", "unseen", "shuffled"]
KINDS: tuple[Kind, ...] = ("seen", "unseen", "shuffled")
"""Of a concept of the corpus; of one held out; of the corpus, but each example's symbols in random order."""


def tokens(examples: int, length: int) -> int:
    """How long a prompt is: examples of `length` symbols, a delimiter behind each, and a query."""
    return examples * (length + 1) + length - 1


def begins(examples: int, length: int) -> range:
    """Where examples and query begin, the first apart."""
    return range(length + 1, examples * (length + 1) + 1, length + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """n prompts of one kind and length; those of fewer examples are the beginnings of those of more.

    examples: [n, most examples, length]. queries: [n, length - 1]. labels: [n], the symbol that is likeliest
    after the query under its own concept and first slot. concepts: [n], numbered as in the world.
    """

    examples: Ints
    queries: Ints
    labels: Ints
    concepts: Ints

    def at(self, examples: int) -> Ints:
        """[n, tokens] with so many examples."""
        n, _, length = self.examples.shape
        shown = np.full((n, examples, length + 1), DELIMITER)
        shown[:, :, :length] = self.examples[:, :examples]
        return np.concatenate([shown.reshape(n, -1), self.queries], axis=1)


def draw(
    world: Mixture, streams: Streams, concepts: range, kind: Kind, *, number: int, length: int, examples: int
) -> Prompts:
    """Prompts of some concepts of the world. A prompt depends on its kind, length and number alone.

    Shuffled ones are seen ones but for the order within examples: query and label are the same.
    """
    values, slots = world.table.shape
    source = "unseen" if kind == "unseen" else "seen"
    rngs = [streams("prompt", f"{source} {length} {at}") for at in range(number)]
    chosen = np.array([rng.integers(concepts.start, concepts.stop) for rng in rngs], np.int64)
    slot = np.array([rng.integers(1, slots) for rng in rngs], np.int64)
    # [n, 1 + examples, first value and moves], row by row: the query is the same however many follow.
    drawn = np.stack([rng.random((1 + examples, 2 * length - 1)) for rng in rngs])
    numbers = drawn.reshape(-1, drawn.shape[2])
    first = (numbers[:, 0] * values).astype(np.int64)
    times = 1 + examples
    own = np.repeat(chosen, times)
    at_values = walk(world.values[None], np.zeros_like(own), first, numbers[:, 1:length])
    at_slots = walk(world.slots, own, np.repeat(slot, times), numbers[:, length:])
    symbols = world.table[at_values, at_slots].reshape(number, times, length)
    shown, queries = symbols[:, 1:], symbols[:, 0, :-1]
    if kind == "shuffled":
        shown = np.stack(
            [_shuffled(streams("shuffle", f"{length} {at}"), lines) for at, lines in enumerate(shown)]
        )
    known = read(world, queries, beginnings=in_one_slot(world))
    labels = known.of_chains(chosen, slot - 1).argmax(1)
    return Prompts(shown, queries, labels, chosen)


def _shuffled(rng: np.random.Generator, lines: Ints) -> Ints:
    """Each line in an order of its own; lines: [examples, length]."""
    return np.array([rng.permutation(line) for line in lines], np.int64).reshape(lines.shape)
