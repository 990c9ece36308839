"""Bayes's answer by loops over sequences and concepts, each matrix written out: the oracle of `bayes.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from icl.mechanism.shared.ginc.mixture import Floats, Ints, Mixture


def expected(
    mixture: Mixture,
    sequences: Ints,
    *,
    begins: Sequence[int] = (),
    beginnings: Floats | None = None,
    leak: float = 0.0,
) -> Floats:
    """The posterior predictive [n, vocabulary]; arguments as those of `bayes.read`."""
    first = mixture.starts[:, None] if beginnings is None else beginnings
    states = mixture.table.size
    matrices = [
        (1 - leak) * mixture.transition(concept) + leak / states for concept in range(mixture.concepts)
    ]
    emission = mixture.emission
    found = np.empty((len(sequences), mixture.vocabulary))
    for at, sequence in enumerate(sequences):
        heard, nexts = [], []
        for concept, matrix in enumerate(matrices):
            for start in (1 - leak) * first[concept] + leak / states:
                evidence, state = _forward(sequence, start, matrix, emission, frozenset(begins))
                heard.append(evidence)
                nexts.append(state @ matrix @ emission)
        with np.errstate(invalid="ignore"):
            powers = np.exp(np.array(heard) - max(heard))
        found[at] = powers @ np.array(nexts) / powers.sum()
    return found


def _forward(
    sequence: Ints, start: Floats, matrix: Floats, emission: Floats, begins: frozenset[int]
) -> tuple[float, Floats]:
    """The log-probability of a sequence, and its last state."""
    evidence, state = 0.0, start
    for at, symbol in enumerate(sequence):
        if at + 1 in begins:
            continue
        state = start if at == 0 or at in begins else state @ matrix
        state = state * emission[:, symbol]
        total = state.sum()
        if total == 0:
            return -math.inf, state
        evidence += math.log(total)
        state = state / total
    return evidence, state
