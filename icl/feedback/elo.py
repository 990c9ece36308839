"""Elo ratings of comparisons, averaged over the orders in which these might have been played.

After a game the winner gains K (score - expected), expected = 1 / (1 + 10^((other - own) / 400)) (Elo 1978),
and the loser loses it. So a rating depends on the order of the games, which annotations do not have: the
estimate is the mean over random orders. Of enough games it comes to 400 / ln 10 times the strength of
Bradley and Terry.

Interval: items are resampled, and each resample's games are played in a few orders. What these few orders
still leave of chance is known from their spread, and is taken out of the width of the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.feedback.resampling import Bootstrap, Floats
from icl.metrics.shared.agreement import Estimate
from icl.seeding import generator

K = 32.0
START = 1_000.0
ORDERS = 4
"""In which the games of a resample are played."""
AT_ONCE = 16_000_000
"""Games x orders looked at at once: bounds the memory."""
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Games:
    """Comparisons [G] as indices of candidates; score: of the first. item: the place of its item."""

    first: Indices
    second: Indices
    score: Floats
    item: Indices
    candidates: int
    items: int


@dataclass(frozen=True, slots=True)
class Elo:
    """Of one candidate."""

    value: float
    """The mean over orders."""
    interval: Estimate | None
    """The same with its interval over items; None of one item."""
    orders: tuple[float, float]
    """Between these lie 95 % of the ratings that single orders give."""


def played(games: Games, order: NDArray[np.int32], k: float) -> Floats:
    """Ratings [C, candidates] after the games order[c] one after another; -1 is no game."""
    ratings = np.full((len(order), games.candidates), START)
    rows = np.arange(len(order))
    for step in order.T:
        first, second = games.first[step], games.second[step]
        expected = 1 / (1 + 10 ** ((ratings[rows, second] - ratings[rows, first]) / 400))
        gain = np.where(step < 0, 0.0, k * (games.score[step] - expected))
        ratings[rows, first] += gain
        ratings[rows, second] -= gain
    return ratings


def elo(games: Games, bootstrap: Bootstrap, k: float = K, name: str = "") -> list[Elo]:
    """A rating a candidate. Their mean is START."""
    stream = generator(bootstrap.seed, "feedback.elo", name)
    everything = np.arange(len(games.first), dtype=np.int32)
    single = _in_blocks(games, [everything] * bootstrap.samples, stream, k)  # [orders, candidates]
    mean = single.mean(0)
    low, high = np.percentile(single, [2.5, 97.5], axis=0)
    rated = _intervals(games, mean, single, bootstrap, k, name) if games.items > 1 else [None] * len(mean)
    parts = zip(mean, rated, low, high, strict=True)
    return [Elo(float(value), one, (float(a), float(b))) for value, one, a, b in parts]


def _intervals(
    games: Games, mean: Floats, single: Floats, bootstrap: Bootstrap, k: float, name: str
) -> Sequence[Estimate | None]:
    stream = generator(bootstrap.seed, "feedback.elo.resamples", name)
    everything = np.arange(len(games.first), dtype=np.int32)
    drawn = [
        np.repeat(everything, weights[games.item].astype(np.intp))
        for block in bootstrap.weights(games.items, "elo", name)
        for weights in block
    ]
    orders = [one for one in drawn for _ in range(ORDERS)]
    found = _in_blocks(games, orders, stream, k).reshape(len(drawn), ORDERS, -1)
    means = found.mean(1)
    by_order = found.var(1, ddof=1).mean(0)  # [candidates]: variance between orders of the same games
    total = means.var(0)
    still = by_order / ORDERS - single.var(0) / len(single)
    shrink = np.sqrt(np.clip(1 - still / np.maximum(total, 1e-12), 0, 1))
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    middle = means.mean(0)
    ends = [(middle + shrink * (end - middle)) + (mean - middle) for end in (low, high)]
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(mean, *ends, strict=True)]


def _in_blocks(
    games: Games, played_games: Sequence[NDArray[np.int32]], stream: np.random.Generator, k: float
) -> Floats:
    """Each list of games in a random order: [lists, candidates]. The draws do not depend on the blocks."""
    longest = max(len(one) for one in played_games)
    step = max(1, AT_ONCE // max(longest, 1))
    found = []
    for start in range(0, len(played_games), step):
        block = played_games[start : start + step]
        order = np.full((len(block), longest), -1, dtype=np.int32)
        for at, one in enumerate(block):
            order[at, : len(one)] = stream.permutation(one)
        found.append(played(games, order, k))
    return np.concatenate(found)
