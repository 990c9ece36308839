"""Rank groups: which rows cannot be told apart from the best, and which from the best of the rest.

Multiple comparisons with the best (Hsu 1984), one paired comparison a row: of k rows, one leaves the first
group where it lies below the row with the highest mean and its p times k - 1 is below 0.05. The row that is
truly the best leaves in at most 5 % of boards: whatever row came out on top, its p is one of the k - 1 that
Bonferroni allows for. Those that leave are grouped in the same way among themselves. p is that of the
difference's interval, for new seeds and new queries; with one seed, of which that knows nothing, the p of
the paired test for this seed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from icl.experiments.records import Cell, RowKey
from icl.leaderboard.layout import Group
from icl.leaderboard.measures import Measure, Values
from icl.leaderboard.pairs import Pairs
from icl.leaderboard.statistics import Resampler

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a row stands among those of its section."""

    group: int
    """1: not distinguishable from the best; 2: from the best of the others, and so on."""
    p: float
    """Against the best of the section, Bonferroni included; 1 for that row itself."""
    best: Cell
    """The best row of the section, with any seed."""
    of: int
    """Rows that stand in the section, this one included."""
    one_seed: bool
    """p is for new queries with this seed only."""


def standings(
    groups: Sequence[Group],
    values: Mapping[RowKey, Values],
    measure: Measure,
    resampler: Resampler,
    section: Callable[[Group], Hashable],
) -> dict[RowKey, Standing]:
    """The standing of every complete row that shares a query with the best of its section.

    values: every complete row as the measure sees it. section: which rows compete; rows of several tasks
    in one section compete task by task.
    """
    places: dict[Hashable, list[Group]] = {}
    for group in groups:
        if group.complete:
            places.setdefault((group.cell.task, section(group)), []).append(group)
    found: dict[RowKey, Standing] = {}
    for members in places.values():
        found |= _of_section(members, Pairs(members, values, measure, resampler))
    return found


def _of_section(members: Sequence[Group], pairs: Pairs) -> dict[RowKey, Standing]:
    top = pairs.best(range(len(members)))
    against = {i: pairs.p_below(i, top) for i in range(len(members))}
    left = [i for i, p in against.items() if p is not None]
    found: dict[RowKey, Standing] = {}
    first, number = len(left), 0
    while left:
        number += 1
        best = pairs.best(left)
        out = []
        for i in left:
            p = pairs.p_below(i, best)
            if i != best and p is not None and p * (len(left) - 1) < LEVEL:
                out.append(i)
                continue
            p_top = min((against[i] or 0.0) * (first - 1), 1.0) if i != top else 1.0
            one_seed = pairs.one_seed(i, top)
            found[members[i].key] = Standing(number, p_top, members[top].cell, first, one_seed)
        left = out
    return found
