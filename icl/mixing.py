"""How much is drawn from which source, by the published formulas, and the draws themselves.

Proportional with a cap and a temperature: Raffel et al. 2020, Exploring the Limits of Transfer Learning
with a Unified Text-to-Text Transformer (T5). Two levels: Longpre et al. 2023, The Flan Collection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from icl.seeding import generator

BLOCK = 4096
"""Draws whose sources are decided at once; part of what a seed means."""


@dataclass(frozen=True, slots=True)
class MixSource:
    """What may be drawn from."""

    name: str
    size: int
    """Rows."""
    quality: float = 1.0
    """Multiplies its rate."""
    cap: int | None = None
    """In place of its group's, or the mixture's."""
    group: str = ""
    """The sub-mixture that it belongs to; a source without one is a sub-mixture of its own where there are
    any."""


@dataclass(frozen=True, slots=True)
class Group:
    """A sub-mixture: its weight among the others, and the cap of its sources."""

    weight: float = 1.0
    cap: int | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """One row of a mixture."""

    source: int
    """Its place in the list of sources."""
    row: int
    epoch: int
    """How often the source had been gone through before."""


def within_rates(
    sources: Sequence[MixSource], cap: int | None = None, temperature: float = 1.0
) -> list[float]:
    """r_i = w_i min(n_i, K)^(1/T) / sum_j w_j min(n_j, K)^(1/T): K the cap, T the temperature, w the quality.

    Raises ValueError for a mixture of nothing, and where all weights are zero.
    """
    if not sources:
        raise ValueError("the mixture has no sources: there is nothing to draw from")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature!r}; allowed: a number above 0")
    weights = []
    for source in sources:
        if not (source.quality >= 0 and math.isfinite(source.quality)):
            raise ValueError(f"quality of {source.name!r} is {source.quality!r}; allowed: a number >= 0")
        limit = source.cap if source.cap is not None else cap
        if limit is not None and limit < 1:
            raise ValueError(f"cap of {source.name!r} is {limit!r}; allowed: a number of rows, at least 1")
        size = source.size if limit is None else min(source.size, limit)
        weights.append(source.quality * size ** (1 / temperature) if size else 0.0)
    return _normalised(weights, [f"{s.name} ({s.size} rows, quality {s.quality:g})" for s in sources])


def rates(
    sources: Sequence[MixSource],
    *,
    cap: int | None = None,
    temperature: float = 1.0,
    groups: Mapping[str, Group] | None = None,
    plain: str | None = None,
    plain_share: float = 0.0,
) -> list[float]:
    """The share of each source, summing to 1.

    groups: two levels; r_i = (weight of its group / sum of weights) * its rate within the group. plain: the
    source of plain text, whose share `plain_share` is set apart; the others have the rest. Raises ValueError.
    """
    if not 0 <= plain_share < 1:
        raise ValueError(f"share of plain text is {plain_share!r}; allowed: a number in [0, 1)")
    own = [at for at, source in enumerate(sources) if source.name != plain]
    found = [0.0] * len(sources)
    given = [sources[at] for at in own]
    shares = _two_levels(given, cap, temperature, groups) if groups else within_rates(given, cap, temperature)
    for at, share in zip(own, shares, strict=True):
        found[at] = share
    if plain is None:
        return found
    (there,) = (at for at, source in enumerate(sources) if source.name == plain)
    if plain_share and not sources[there].size:
        raise ValueError(f"{plain!r} has no text to draw a share of {plain_share:g} from")
    found = [share * (1 - plain_share) for share in found]
    found[there] = plain_share
    return found


def _two_levels(
    sources: Sequence[MixSource], cap: int | None, temperature: float, groups: Mapping[str, Group]
) -> list[float]:
    members: dict[str, list[int]] = {}
    for at, source in enumerate(sources):
        members.setdefault(source.group or source.name, []).append(at)
    known = {name: groups.get(name, Group()) for name in members}
    missing = [name for name in groups if name not in members]
    if missing:
        raise ValueError(f"group {missing[0]!r} has no source; groups of sources: {', '.join(members)}")
    weights = [known[name].weight for name in members]
    if any(not (weight >= 0 and math.isfinite(weight)) for weight in weights):
        raise ValueError(f"weights of groups are {weights}; allowed: numbers >= 0")
    outer = _normalised(weights, [f"{name} (weight {known[name].weight:g})" for name in members])
    found = [0.0] * len(sources)
    for share, (name, places) in zip(outer, members.items(), strict=True):
        if not share:
            continue
        limit = known[name].cap if known[name].cap is not None else cap
        inner = within_rates([sources[at] for at in places], limit, temperature)
        for at, rate in zip(places, inner, strict=True):
            found[at] = share * rate
    return found


def _normalised(weights: Sequence[float], said: Sequence[str]) -> list[float]:
    total = math.fsum(weights)
    if not total > 0:
        raise ValueError(f"the weights of the mixture sum to zero: {', '.join(said)}")
    return [weight / total for weight in weights]


def draws(shares: Sequence[float], sizes: Sequence[int], seed: int, *, name: str = "") -> Iterator[Draw]:
    """An endless stream: the source of each draw by `shares`, its row without replacement within an epoch.

    A source's rows come in an order drawn anew for each epoch. What is drawn depends on the seed, `name` and
    the arguments alone; memory is a few bytes a row, whatever the texts are. Raises ValueError where a share
    is to be drawn from a source without rows.
    """
    for share, size in zip(shares, sizes, strict=True):
        if share > 0 and size < 1:
            raise ValueError("a share is to be drawn from a source without rows")
    edges = np.cumsum(np.asarray(shares, dtype=np.float64))
    edges[np.flatnonzero(np.asarray(shares))[-1] :] = 1.0  # what rounding left is the last source's
    orders: dict[int, np.ndarray] = {}
    taken = [0] * len(sizes)
    block = 0
    while True:
        drawn = generator(seed, f"mixing{name}", str(block)).random(BLOCK)
        for source in np.searchsorted(edges, drawn, side="right").tolist():
            epoch, at = divmod(taken[source], sizes[source])
            if at == 0:
                rng = generator(seed, f"mixing order{name}", f"{source}/{epoch}")
                orders[source] = rng.permutation(sizes[source]).astype(np.uint32)
            taken[source] += 1
            yield Draw(source, int(orders[source][at]), epoch)
        block += 1


def repeats(shares: Sequence[float], sizes: Sequence[int], count: int) -> list[float]:
    """How often a row of each source is drawn on average in `count` draws."""
    return [count * share / size if size else 0.0 for share, size in zip(shares, sizes, strict=True)]
