"""Elo ratings of comparisons, averaged over the orders in which these might have been played.

After a game the winner gains K (score - expected), expected = 1 / (1 + 10^((other - own) / 400)) (Elo 1978),
and the loser loses it. So a rating depends on the order of the games, which annotations do not have: the
estimate is the mean over random orders. Of enough games it comes to 400 / ln 10 times the strength of
Bradley and Terry.

Interval: items are resampled, and each resample's games are played in a few orders. The chance that so few
orders leave is estimated from their spread and taken out of the width, as far as the estimate is sure: with
many games, where single orders differ by more than resamples do, the interval stays a little wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

import numpy as np
from numpy.typing import NDArray

from icl.feedback.resampling import Bootstrap, Floats
from icl.metrics.shared.agreement import Estimate
from icl.seeding import generator

K = 32.0
START = 1_000.0
ORDERS = 4
"""In which the games of a resample are played."""
AT_ONCE = 40_000_000
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
    """Ratings [C, candidates] after the games order[0], order[1], ... of [steps, C]; -1 is no game."""
    ratings = np.full((order.shape[1], games.candidates), START)
    rows = np.arange(order.shape[1])
    for step in order:
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
    single = _in_blocks(games, repeat(everything, bootstrap.samples), stream, k)  # [orders, candidates]
    mean = single.mean(0)
    low, high = np.percentile(single, [2.5, 97.5], axis=0)
    rated = _intervals(games, mean, single, bootstrap, k, name) if games.items > 1 else [None] * len(mean)
    parts = zip(mean, rated, low, high, strict=True)
    return [Elo(float(value), one, (float(a), float(b))) for value, one, a, b in parts]


def _intervals(
    games: Games, mean: Floats, single: Floats, bootstrap: Bootstrap, k: float, name: str
) -> Sequence[Estimate | None]:
    """Of the means over all orders; single [orders, candidates]: what they are means of."""
    stream = generator(bootstrap.seed, "feedback.elo.resamples", name)
    found = _in_blocks(games, _resampled(games, bootstrap, name), stream, k)
    by_resample = found.reshape(bootstrap.samples, ORDERS, -1)
    means = by_resample.mean(1)
    by_order = by_resample.var(1, ddof=1).mean(0)  # [candidates]: between orders of the same games
    too_much = by_order / ORDERS - single.var(0) / len(single)
    # of all variance the share that is sure to be of orders is taken out: two standard errors stay in
    unsure = 2 * np.sqrt(2 / bootstrap.samples)
    shrink = np.sqrt(np.clip(1 - too_much / np.maximum(means.var(0), 1e-12) + unsure, 0, 1))
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    ends = [mean + shrink * (end - means.mean(0)) for end in (low, high)]
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(mean, *ends, strict=True)]


def _resampled(games: Games, bootstrap: Bootstrap, name: str) -> Iterator[NDArray[np.int32]]:
    """The games of each resample of items, ORDERS times."""
    everything = np.arange(len(games.first), dtype=np.int32)
    for block in bootstrap.weights(games.items, "elo", name):
        for weights in block:
            yield from repeat(np.repeat(everything, weights[games.item].astype(np.intp)), ORDERS)


def _in_blocks(
    games: Games, lists: Iterable[NDArray[np.int32]], stream: np.random.Generator, k: float
) -> Floats:
    """Each list of games played in a random order: [lists, candidates]. The draws do not depend on the
    blocks."""
    step = max(1, AT_ONCE // len(games.first))
    found = []
    waiting = iter(lists)
    while block := list(islice(waiting, step)):
        order = np.full((max(map(len, block)), len(block)), -1, dtype=np.int32)
        for at, one in enumerate(block):
            order[: len(one), at] = stream.permutation(one)
        found.append(played(games, order, k))
    return np.concatenate(found)
