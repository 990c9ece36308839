"""What is worked out of a row's predictions beside its mean: components, reliability, headroom, cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from icl.experiments.records import RowKey
from icl.leaderboard.components import Components, components, set_and_order
from icl.leaderboard.headroom import Headroom, common, headroom, oracle_of_rows
from icl.leaderboard.intervals import Floats, filled
from icl.leaderboard.layout import Group
from icl.leaderboard.measures import Measure, Values
from icl.leaderboard.names import MAJORITY, base_name
from icl.leaderboard.reliability import Reliability, reliability
from icl.leaderboard.statistics import pseudo_values


@dataclass(frozen=True, slots=True)
class Analysis:
    """Of one complete row."""

    components: Components
    reliability: Reliability
    headroom: Headroom


def values_of(groups: Sequence[Group], measure: Measure) -> dict[RowKey, Values]:
    """Every complete row as the measure sees it."""
    alike: dict[Hashable, list[Group]] = {}
    for group in groups:
        if group.complete:
            key = (group.cell.task, group.layout.seeds, group.layout.queries)
            alike.setdefault(key, []).append(group)
    found: dict[RowKey, Values] = {}
    for members in alike.values():
        values = measure.values(members[0].cell.task, *(group.layout for group in members))
        found |= {group.key: value for group, value in zip(members, values, strict=True)}
    return found


def analyse(
    groups: Sequence[Group], values: dict[RowKey, Values], section: Callable[[Group], Hashable]
) -> dict[RowKey, Analysis]:
    """The complete rows; `section` says among which rows the oracle picks."""
    done = [group for group in groups if group.key in values]
    found = {
        group.key: Analysis(
            components(filled(pseudo_values(values[group.key]))),
            reliability(p for line in group.layout.grid for p in line if p is not None),
            headroom(values[group.key]),
        )
        for group in done
    }
    for members in _by(done, lambda g: (g.cell.task, section(g))):
        asked = [g for g in members if base_name(g.cell.selector) != MAJORITY]
        best = oracle_of_rows(_scores(asked, values))
        for group in members:
            one = found[group.key]
            room = replace(one.headroom, of_rows=best, rows=len(asked) if best else 0)
            found[group.key] = replace(one, headroom=room)
    for members in _by([g for g in done if g.cell.shots], _but_order):
        cube = _scores(members, values)
        if len(members) < 2 or cube is None or min(cube.shape) < 2:
            continue
        of_set, order = set_and_order(cube.transpose(1, 0, 2))
        for group in members:
            one = found[group.key]
            told = replace(one.components, set=of_set, order=order, orders=len(members))
            found[group.key] = replace(one, components=told)
    return found


def _by(groups: Sequence[Group], key: Callable[[Group], Hashable]) -> list[list[Group]]:
    found: dict[Hashable, list[Group]] = {}
    for group in groups:
        found.setdefault(key(group), []).append(group)
    return list(found.values())


def _but_order(group: Group) -> Hashable:
    cell = group.cell
    return (cell.model, cell.task, cell.selector, cell.shots, cell.method, cell.tuning)


def _scores(groups: Sequence[Group], values: dict[RowKey, Values]) -> Floats | None:
    """[rows, S, Q] of what all were asked; None without scores."""
    tables = []
    for group in groups:
        scores = values[group.key].scores
        if scores is None:
            return None
        tables.append((group.layout.seeds, group.layout.queries, filled(scores)))
    return common(tables) if tables else None
