"""Documents of a mixture: long walks of one concept each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from icl.mechanism.shared.ginc.mixture import Floats, Ints, Mixture, Streams


def walk(matrices: Floats, which: Ints, first: Ints, numbers: Floats) -> Ints:
    """States [n, 1 + steps] of n chains.

    matrices: [kinds, states, states]. which: the matrix of each chain [n]. first: [n]. numbers: [n, steps] in
    [0, 1), one a step.
    """
    ends = np.cumsum(matrices, axis=-1)
    ends[..., -1] = 1.0
    states = np.empty((len(first), 1 + numbers.shape[1]), np.int64)
    states[:, 0] = first
    for at in range(numbers.shape[1]):
        states[:, at + 1] = (ends[which, states[:, at]] <= numbers[:, at, None]).sum(-1)
    return states


def documents(
    mixture: Mixture, streams: Streams, number: int, length: int, *, permuted: bool = False
) -> tuple[npt.NDArray[np.int16], Ints]:
    """Tokens [number, length] and the concept of each [number].

    A document depends on its number alone, so that a corpus of more documents begins with those of a smaller
    one. permuted: the same tokens in random order: what could be learned of concepts is gone.
    """
    streamed = [streams("document", str(at)) for at in range(number)]
    concepts = np.array([rng.integers(mixture.concepts) for rng in streamed], np.int64)
    size = mixture.table.shape[1]
    first = [
        rng.choice(mixture.starts.shape[1], p=mixture.starts[c])
        for rng, c in zip(streamed, concepts, strict=True)
    ]
    numbers = np.stack([rng.random((2, length - 1)) for rng in streamed])
    states = np.array(first, np.int64)
    values = walk(mixture.values[None], np.zeros_like(concepts), states // size, numbers[:, 0])
    slots = walk(mixture.slots, concepts, states % size, numbers[:, 1])
    tokens = mixture.table[values, slots].astype(np.int16)
    if permuted:
        tokens = np.stack([rng.permutation(line) for rng, line in zip(streamed, tokens, strict=True)])
    return tokens, concepts
