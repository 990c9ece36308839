"""An overall order of settings over tasks: Bradley and Terry's model (1952) on who is right where others err.

Two settings meet on every (task, seed, query) that both were asked; the one with the higher score wins, ties
say nothing. P(i wins over j) = 1 / (1 + exp(strength j - strength i)). For right and wrong answers this is
the conditional likelihood of Rasch's model (1960): strengths are differences in the log-odds of a right
answer, however hard a query is, so that tasks of any difficulty can be put together. Every task weighs the
same. Each pair begins with half a win on either side, so that a setting that never loses has a strength too.

Intervals: a strength moves with each (seed, query) by its influence, the inverse information times the score.
These influences are a seeds x queries table a task, and get the variance for new seeds and new queries that
means of scores have (icl.leaderboard.intervals). They hold for these tasks; nothing is said about others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.errors import DataError
from icl.experiments.records import Cell, RowKey
from icl.leaderboard.intervals import Floats, Interval, spread, student
from icl.leaderboard.layout import Group
from icl.leaderboard.measures import Values
from icl.leaderboard.names import MAJORITY, base_name
from icl.metrics.shared.strengths import fit

HALF_WIN = 0.5
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Strength:
    """Of one setting, over all tasks."""

    cell: Cell
    """With any task and any seed."""
    strength: Interval
    """In log-odds; the mean of all settings is 0."""
    wins: float
    """Chance to be the one that is right where one of the two is, against the others on average."""
    tasks: int
    leads: bool
    """The strongest, or not distinguishable from it: Bonferroni over the others at 0.05."""


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Scores of the settings of one task: [settings, S, Q], NaN where absent."""

    settings: tuple[int, ...]
    scores: Floats

    @property
    def weight(self) -> float:
        """Of one (seed, query): every task weighs the same."""
        return 1.0 / float(np.prod(self.scores.shape[1:]))


def strengths(
    groups: Sequence[Group], values: Mapping[RowKey, Values], level: float = 0.95
) -> list[Strength]:
    """The strongest first; majority-class rows are left out.

    values: every complete row as the measure sees it. DataError for a metric that is no mean of scores, for
    fewer than two settings, and for settings that no chain of shared queries connects.
    """
    rows = [g for g in groups if g.key in values and base_name(g.cell.selector) != MAJORITY]
    names = list(dict.fromkeys(_setting(g) for g in rows))
    if len(names) < 2:
        raise DataError("overall: fewer than two settings to compare")
    meetings = _meetings(rows, values, names)
    counts = np.sum([_wins(meeting, len(names)) for meeting in meetings], axis=0)
    met = np.sum([_met(meeting, len(names)) for meeting in meetings], axis=0) > 0
    _check_connected(met, rows, names)
    half = HALF_WIN * float(np.mean([meeting.weight for meeting in meetings]))
    found, parts = _fit(counts + half * met, meetings)
    return _told(found, parts, names, rows, level)


def _fit(wins: Floats, meetings: Sequence[_Meeting]) -> tuple[Floats, list[Floats]]:
    """Strengths, and for each task influences [settings of all, S, Q] whose mean is the task's part."""
    found = fit(wins)
    chance = 1 / (1 + np.exp(found[None, :] - found[:, None]))  # of i over j
    information = (wins + wins.T) * chance * (1 - chance)
    inverse = np.linalg.pinv(np.diag(information.sum(axis=1)) - information)
    parts = []
    for meeting in meetings:
        own = list(meeting.settings)
        score = np.empty_like(meeting.scores)
        for at, setting in enumerate(own):
            above, below = _compared(meeting.scores, at)
            expected = chance[setting, own][:, None, None]
            score[at] = (above - (above + below) * expected).sum(axis=0)
        # the mean of such a table is the sum over its (seed, query), each with the weight of the task
        parts.append(np.tensordot(inverse[:, own], score, axes=1))
    return found, parts


def _compared(scores: Floats, at: int) -> tuple[Floats, Floats]:
    """[j, S, Q]: whether `at` is above j, and below; 0 where either is absent."""
    with np.errstate(invalid="ignore"):
        return (scores[at] > scores).astype(float), (scores[at] < scores).astype(float)


def _told(
    found: Floats,
    parts: Sequence[Floats],
    names: Sequence[tuple[object, ...]],
    rows: Sequence[Group],
    level: float,
) -> list[Strength]:
    count = len(names)
    order = np.argsort(-found, kind="stable")
    best = int(order[0])
    chance = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    told = []
    for at in map(int, order):
        half = _half_width([part[at] for part in parts], level)
        apart = _half_width([part[best] - part[at] for part in parts], 1 - LEVEL / (count - 1))
        own = [g for g in rows if _setting(g) == names[at]]
        told.append(
            Strength(
                own[0].cell,
                Interval(float(found[at]), float(found[at] - half), float(found[at] + half)),
                float((chance[at].sum() - 0.5) / (count - 1)),
                len({g.cell.task for g in own}),
                bool(found[best] - found[at] <= apart),
            )
        )
    return told


def _half_width(tables: Sequence[Floats], level: float) -> float:
    """Of a sum of means of tables [S, Q], one a task. Variances add up; their degrees of freedom are those of
    Satterthwaite (1946)."""
    spreads = [spread(table, (float(table.min()), float(table.max()))) for table in tables]
    tail = (1 - level) / 2
    by_queries = [(one.queries, max(one.shape[1] - 1, 1)) for one in spreads]
    by_seeds = [(one.seeds, one.shape[0] - 1) for one in spreads if one.shape[0] > 1]
    return float(np.sqrt(_square(by_queries, tail) + _square(by_seeds, tail)))


def _square(parts: Sequence[tuple[float, int]], tail: float) -> float:
    """Squared half-width of a sum of (variance, degrees of freedom)."""
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0
    df = total**2 / sum(variance**2 / df for variance, df in parts)
    return student(tail, df) ** 2 * total


def _setting(group: Group) -> tuple[object, ...]:
    cell = group.cell
    return (cell.model, cell.selector, cell.shots, cell.orderer, cell.method, cell.tuning)


def _meetings(
    rows: Sequence[Group], values: Mapping[RowKey, Values], names: Sequence[tuple[object, ...]]
) -> list[_Meeting]:
    found = []
    for task in dict.fromkeys(g.cell.task for g in rows):
        own = [g for g in rows if g.cell.task == task]
        seeds = {s: i for i, s in enumerate(dict.fromkeys(s for g in own for s in g.layout.seeds))}
        queries = {q: i for i, q in enumerate(dict.fromkeys(q for g in own for q in g.layout.queries))}
        scores = np.full((len(own), len(seeds), len(queries)), np.nan)
        for at, group in enumerate(own):
            table = values[group.key].scores
            if table is None:
                raise DataError(
                    "overall: the metric is no mean of scores; take one that is, such as accuracy"
                )
            lines, columns = group.layout.seeds, group.layout.queries
            scores[at][np.ix_([seeds[s] for s in lines], [queries[q] for q in columns])] = table
        found.append(_Meeting(tuple(names.index(_setting(g)) for g in own), scores))
    return found


def _wins(meeting: _Meeting, count: int) -> Floats:
    """[i, j]: weighted wins of i over j."""
    found = np.zeros((count, count))
    for at, setting in enumerate(meeting.settings):
        above, _ = _compared(meeting.scores, at)
        found[setting, list(meeting.settings)] = above.sum(axis=(1, 2)) * meeting.weight
    return found


def _met(meeting: _Meeting, count: int) -> Floats:
    """[i, j]: on how many (seed, query) two settings met, 0 of one with itself."""
    here = (~np.isnan(meeting.scores)).reshape(len(meeting.settings), -1).astype(float)
    found = np.zeros((count, count))
    found[np.ix_(meeting.settings, meeting.settings)] = here @ here.T
    np.fill_diagonal(found, 0.0)
    return found


def _check_connected(
    met: NDArray[np.bool_], rows: Sequence[Group], names: Sequence[tuple[object, ...]]
) -> None:
    from scipy.sparse.csgraph import connected_components

    parts, labels = connected_components(met)
    if parts > 1:
        apart = [next(g for g in rows if _setting(g) == names[int(np.argmax(labels == i))]) for i in range(2)]
        first, second = (f"{g.cell.setting} ({g.cell.task})" for g in apart)
        raise DataError(
            f"overall: no query in common between {first} and {second}, nor between rows that lead from one "
            "to the other"
        )
