"""Accuracy at equal cost: what the tokens of a row buy elsewhere.

The cost of a query: tokens forwarded for its answer and for choosing its demonstrations, and its part of
what training took, where a token that is gone back through counts as three forwarded. Of the rows of a
section that cost no more, the best is what a row is held against: where a row is not above it, its tokens are
better spent there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from icl.experiments.records import Cell, RowKey
from icl.leaderboard.intervals import Interval
from icl.leaderboard.layout import Group
from icl.leaderboard.measures import Measure, Values
from icl.leaderboard.pairs import Pairs
from icl.leaderboard.statistics import Resampler


@dataclass(frozen=True, slots=True)
class EqualCost:
    """A row against the best one that costs no more."""

    rival: Cell
    """With any seed."""
    difference: Interval
    """The row less its rival, paired."""


def equal_costs(
    groups: Sequence[Group],
    costs: Mapping[RowKey, float],
    values: Mapping[RowKey, Values],
    measure: Measure,
    resampler: Resampler,
    section: Callable[[Group], Hashable],
) -> dict[RowKey, EqualCost]:
    """For every complete row that another of its section and task does not exceed in cost, if it shares a
    query with the best of those. costs: tokens a query."""
    places: dict[Hashable, list[Group]] = {}
    for group in groups:
        if group.key in values:
            places.setdefault((group.cell.task, section(group)), []).append(group)
    found: dict[RowKey, EqualCost] = {}
    for members in places.values():
        pairs = Pairs(members, values, measure, resampler)
        for i, group in enumerate(members):
            within = [j for j, other in enumerate(members) if j != i and costs[other.key] <= costs[group.key]]
            if not within:
                continue
            rival = pairs.best(within)
            difference = pairs.difference(i, rival)
            if difference is not None:
                found[group.key] = EqualCost(members[rival].cell, difference)
    return found
