"""Accuracy against the number of chains, from one run's stored predictions.

`self_consistency`, `complexity`, `diverse_prompts`, `ensemble` and `verifier` leave every chain's
parsed answer and number of steps in a prediction's details, so votes over fewer chains, or by
another rule, need no further question to the model. Intervals are the leaderboard's
(`icl.leaderboard.chains`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from icl.cot.shared.votes import longest, unify, vote
from icl.errors import DataError
from icl.seeding import generator
from icl.types import Prediction

Rule = Literal["majority", "longest", "weighted", "any"]
Right = Callable[[str, str], bool]
"""(answer, gold) -> whether they say the same."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """One query's chains."""

    answers: list[str | None]
    right: list[bool]
    steps: list[int]
    scores: list[float]


def chains_of_all(predictions: Sequence[Prediction]) -> int:
    """Chains that every one of them has, at least. Raises DataError without predictions."""
    if not predictions:
        raise DataError("no predictions to draw a curve from")
    return min(len(p.details.get("chains") or ()) for p in predictions)


def sample_values(
    predictions: Sequence[Prediction],
    *,
    right: Right,
    rule: Rule,
    ns: Sequence[int],
    top_share: float = 0.8,
    subsets: int = 50,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Expected accuracy [len(ns), queries] of each query with n of its chains.

    right: whether an answer says the same as a gold, or as another chain's answer, so that their votes go
    together. A chain that gives any of several accepted golds is right; a vote never looks at the golds.
    rule: "majority", maj@n: the plurality; "longest": the plurality of the `top_share` of the n
    chains with most steps (complexity: 40 of 50); "weighted": by the verifier's scores; "any",
    pass@n: whether any chain is right, by the unbiased estimator 1 - C(N - c, n) / C(N, n) (Chen
    et al. 2021).
    subsets: votes are averaged over all subsets of n chains or, where there are more than this, over
    this many random ones, the same for every rule; 0 takes the first n, what a run with that n would
    have given. Raises DataError for predictions that hold no chains, too few for `ns`, or no scores.
    """
    most = chains_of_all(predictions)
    stored = [_stored(p, right, rule) for p in predictions]
    beyond = [n for n in ns if not 1 <= n <= most]
    if beyond:
        raise DataError(f"n is {beyond[0]}; every query has {most} chains: allowed: 1 to {most}")
    return np.array(
        [[_value(s, n, rule, top_share, subsets, seed, at) for at, s in enumerate(stored)] for n in ns],
        dtype=np.float64,
    )


def pass_at(n: int, chains: int, right: int) -> float:
    """Probability that n of `chains` chains, drawn without replacement, hold one of the `right` ones."""
    return 1.0 - comb(chains - right, n) / comb(chains, n)


def _stored(prediction: Prediction, right: Right, rule: Rule) -> _Stored:
    chains = prediction.details.get("chains")
    if not chains:
        raise DataError(
            f"prediction {prediction.query_id!r} holds no chains: its method draws none, or the run is older"
        )
    scores = prediction.details.get("scores")
    if rule == "weighted" and (scores is None or len(scores) != len(chains)):
        raise DataError(f"prediction {prediction.query_id!r} holds no scores: its method is not verifier")
    answers: list[str | None] = [chain["answer"] for chain in chains]
    golds = prediction.details.get("golds") or [prediction.gold]
    judged = [answer is not None and any(right(answer, gold) for gold in golds) for answer in answers]
    unified = unify(answers, right)
    steps = [int(chain["steps"]) for chain in chains]
    return _Stored(unified, judged, steps, list(scores) if scores is not None else [1.0] * len(chains))


def _value(
    stored: _Stored, n: int, rule: Rule, top_share: float, subsets: int, seed: int, query: int
) -> float:
    """Expected accuracy of one query with n of its chains."""
    total = len(stored.answers)
    if rule == "any":
        return pass_at(n, total, sum(stored.right)) if subsets else float(any(stored.right[:n]))
    if subsets == 0 or n == total:
        return _decided(stored, list(range(n)), rule, top_share)
    if comb(total, n) <= subsets:
        picks = [list(pick) for pick in combinations(range(total), n)]
    else:
        stream = generator(seed, "cot.curves.subsets", f"{query}/{n}")
        picks = [sorted(int(i) for i in stream.permutation(total)[:n]) for _ in range(subsets)]
    return float(np.mean([_decided(stored, pick, rule, top_share) for pick in picks]))


def _decided(stored: _Stored, pick: Sequence[int], rule: Rule, top_share: float) -> float:
    """1 where the vote of the chains `pick` is right."""
    chosen = list(pick)
    if rule == "longest":
        top = max(1, round(top_share * len(chosen)))
        chosen = [chosen[i] for i in longest([stored.steps[i] for i in chosen], top)]
    weights = [stored.scores[i] for i in chosen] if rule == "weighted" else None
    winner = vote([stored.answers[i] for i in chosen], weights).chain
    return float(winner is not None and stored.right[chosen[winner]])
