"""Accuracy against the number of chains, for every row whose predictions hold several.

The votes are taken again from the stored chains (`icl.cot.shared.curves`): no model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from icl.cot.shared.curves import Rule, chains_of_all, sample_values
from icl.errors import DataError
from icl.experiments.records import UNTUNED, CellResult
from icl.leaderboard.intervals import Interval
from icl.leaderboard.layout import Group, Layout, group_cells
from icl.leaderboard.measures import Floats, stand_in_task, weighted_mean
from icl.leaderboard.names import short_labels
from icl.leaderboard.results import without_copies
from icl.leaderboard.statistics import Resampler
from icl.prompts.answers import equivalent
from icl.types import Prediction, Task

RULES: Mapping[Rule, str] = {
    "majority": "maj@N",
    "longest": "longest@N",
    "weighted": "verifier@N",
    "any": "pass@N",
}
TOP_SHARE = 0.8
"""Of the chains, by steps, that vote under "longest"; 40 of 50 in the paper."""

SUBSETS = 60
"""Averaged over, of N chains each: all pairs of 10 are fewer."""


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One row of the leaderboard: per rule an interval for each number of chains."""

    model: str
    task: str
    setting: str
    """Selector, shots, orderer, method and tuning as far as they say anything."""
    name: str
    """Short, and no other row's."""
    ns: tuple[int, ...]
    points: Mapping[Rule, tuple[Interval, ...]]
    seeds: int
    queries: int
    most: int
    """Chains of the query that has most; more than the last of `ns` where they were drawn adaptively."""
    adaptive: bool


def chain_rows(
    results: Sequence[CellResult],
    tasks: Mapping[str, Task],
    *,
    ns: Sequence[int] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[ChainRow]:
    """Rows with at least two chains a query, in the order of the results.

    ns: numbers of chains, by default 1, 2, 4, ... and all. An answer is right where it says the same as the
    gold, or as any of several accepted ones, whatever the run's metric. Chains that
    were drawn until the vote was decided count in the order in which they were drawn; of others
    subsets are averaged. Raises DataError if no complete row holds chains, or a query too few for `ns`.
    """
    groups = [g for g in group_cells(without_copies(results)) if g.complete and _fewest(g) > 1]
    if not groups:
        raise DataError(
            "no complete row holds several chains: self_consistency, complexity, diverse_prompts, "
            "ensemble and verifier draw them"
        )
    resampler = Resampler(resamples, seed)
    rows = [_row(group, tasks, ns, resampler, seed) for group in groups]
    names = short_labels([row.setting for row in rows])
    return [replace(row, name=name) for row, name in zip(rows, names, strict=True)]


def doubling(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `most` itself."""
    return (*(2**i for i in range(most.bit_length()) if 2**i < most), most)


def _predictions(group: Group) -> list[Prediction]:
    return [p for result in group.complete for p in result.predictions]


def _fewest(group: Group) -> int:
    return chains_of_all(_predictions(group))


def _row(
    group: Group, tasks: Mapping[str, Task], wanted: Sequence[int] | None, resampler: Resampler, seed: int
) -> ChainRow:
    cell, everything = group.cell, _predictions(group)
    task = tasks.get(cell.task) or stand_in_task(cell.task, group.complete)
    adaptive = any("adaptive" in p.details for p in everything)
    scored = all(len(p.details.get("scores") or ()) == len(p.details["chains"]) for p in everything)
    ns = doubling(_fewest(group)) if wanted is None else tuple(wanted)
    points = {}
    for rule in RULES:
        if rule == "weighted" and not scored:
            continue
        values = _values(group.layout, task, rule, ns, subsets=0 if adaptive else SUBSETS, seed=seed)
        points[rule] = tuple(resampler.interval(weighted_mean(line)) for line in values)
    return ChainRow(
        model=cell.model,
        task=cell.task,
        setting=cell.setting
        if cell.shots
        else cell.method
        if cell.tuning == UNTUNED
        else f"{cell.method} tuning {cell.tuning}",
        name="",
        ns=ns,
        points=points,
        seeds=len(group.layout.seeds),
        queries=len(group.layout.queries),
        most=max(len(p.details["chains"]) for p in everything),
        adaptive=adaptive,
    )


def _values(
    lay: Layout, task: Task, rule: Rule, ns: Sequence[int], *, subsets: int, seed: int
) -> list[Floats]:
    """One [S, Q] a number of chains; NaN where a seed did not see a query."""
    filled = np.full((len(ns), len(lay.seeds), len(lay.queries)), np.nan)
    for s, line in enumerate(lay.grid):
        present = [q for q, p in enumerate(line) if p is not None]
        filled[:, s, present] = sample_values(
            [p for p in line if p is not None],
            right=lambda answer, gold: equivalent(answer, gold, task),
            rule=rule,
            ns=ns,
            top_share=TOP_SHARE,
            subsets=subsets,
            seed=seed,
        )
    return list(filled)
