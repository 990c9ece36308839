"""The vote graph of vote-k: every example votes for its nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icl.encoders.neighbours import NeighbourIndex

Votes = NDArray[np.int64]
"""[n, votes]: row v holds the examples that v votes for."""


def neighbour_votes(vectors: NDArray[np.float32], count: int) -> Votes:
    """Each of n rows votes for the `count` nearest others (all others where there are fewer)."""
    size = len(vectors)
    count = min(count, size - 1)
    found, _ = NeighbourIndex(vectors).search(vectors, count + 1)
    # Equal vectors can push an example out of its own neighbours: then the farthest goes instead.
    own = found == np.arange(size)[:, None]
    own[~own.any(axis=1), -1] = True
    votes: Votes = found[~own].reshape(size, count)
    return votes


def discounts(votes: Votes, selected: Sequence[int]) -> NDArray[np.float64]:
    """[n] what a vote of each example counts: 10 ** -(selected ones it voted for); 0 if selected."""
    chosen = np.zeros(len(votes), dtype=bool)
    chosen[list(selected)] = True
    weight: NDArray[np.float64] = np.where(chosen, 0.0, 10.0 ** -chosen[votes].sum(axis=1))
    return weight


def vote_scores(votes: Votes, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n] sum of the weights of those who vote for each example."""
    voters = np.repeat(weight, votes.shape[1])
    # Rounded: a sum's last bits depend on its order, ties go to the first.
    return np.round(np.bincount(votes.ravel(), weights=voters, minlength=len(votes)), 9)


def fast_vote_k(votes: Votes, budget: int) -> list[tuple[int, float]]:
    """`budget` examples and the score at which each was taken, in order of selection."""
    selected: list[tuple[int, float]] = []
    while len(selected) < min(budget, len(votes)):
        taken = [at for at, _ in selected]
        scores = vote_scores(votes, discounts(votes, taken))
        scores[taken] = -1.0
        best = int(scores.argmax())
        selected.append((best, float(scores[best])))
    return selected


def bucket_vote_k(
    votes: Votes,
    confidence: NDArray[np.float64],
    initial: Sequence[int],
    budget: int,
    drop: float,
    update: bool = True,
) -> list[tuple[int, float]]:
    """Second stage of the full variant: what is annotated beside the `initial` ones.

    The rest by rising `confidence` ([n]), without the share `drop` of the most confident (as far
    as the budget leaves room), cut into budget - len(initial) equal buckets; in each, the least
    confident first, the best vote score. `update`: votes are discounted for what this stage
    takes, too.
    """
    rest = [at for at in np.argsort(confidence, kind="stable").tolist() if at not in set(initial)]
    wanted = min(budget - len(initial), len(rest))
    kept = max(len(rest) - int(drop * len(rest)), wanted)
    taken = list(initial)
    selected: list[tuple[int, float]] = []
    for bucket in np.array_split(np.array(rest[:kept], dtype=np.int64), max(wanted, 1)):
        if not len(bucket):
            continue
        scores = vote_scores(votes, discounts(votes, taken))[bucket]
        best = int(scores.argmax())
        selected.append((int(bucket[best]), float(scores[best])))
        if update:
            taken.append(int(bucket[best]))
    return selected
