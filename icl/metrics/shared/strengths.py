"""Strengths from wins: Bradley and Terry's model (1952), by maximum likelihood, and whether there is a
maximum.

P(i wins over j) = 1 / (1 + exp(strength j - strength i)). The likelihood has a finite maximum exactly where
whoever is in whatever part of the candidates has lost to somebody outside it (Ford 1957): the graph of wins
is strongly connected. Optimizers do not say so: where a candidate never lost, they stop at some large
strength.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fit(wins: Floats, start: Floats | None = None) -> Floats:
    """Maximum likelihood of strengths from wins[i, j] of i over j, fractions allowed; their mean is 0.

    start: strengths near by, from which it takes fewer steps. Wins must be `connected`.
    """
    import choix

    found = choix.ilsr_pairwise_dense(wins, max_iter=10_000, initial_params=start)
    return np.asarray(found - found.mean(), dtype=np.float64)


def connected(wins: Floats) -> bool:
    """Whether there is a finite maximum."""
    return len(unbeaten(wins)) == 0


def unbeaten(wins: Floats) -> list[list[int]]:
    """Groups of candidates that never lost to anybody outside; [] where there is a finite maximum.

    Candidates that no chain of comparisons leads to are a group of their own.
    """
    from scipy.sparse.csgraph import connected_components

    count, label = connected_components(wins > 0, directed=True, connection="strong")
    if count == 1:
        return []
    lost = np.zeros(count, dtype=bool)
    for winner, loser in np.argwhere(wins > 0):
        lost[label[loser]] |= label[winner] != label[loser]
    return [np.flatnonzero(label == group).tolist() for group in range(count) if not lost[group]]


def apart(wins: Floats) -> list[list[int]]:
    """Groups of candidates between which nobody was compared: one where a chain of comparisons links all."""
    from scipy.sparse.csgraph import connected_components

    count, label = connected_components(wins > 0, directed=False)
    return [np.flatnonzero(label == group).tolist() for group in range(count)]
