"""Cells to rows: seeds are averaged, nothing else, and every row finds its baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from icl.experiments.file.baseline import Baseline
from icl.experiments.records import UNTUNED, Cell, CellResult
from icl.leaderboard.analysis import Analysis, analyse, values_of
from icl.leaderboard.components import Components, components
from icl.leaderboard.cost import EqualCost, equal_costs
from icl.leaderboard.extraction import NONE_READ, Extraction
from icl.leaderboard.intervals import Interval, filled
from icl.leaderboard.layout import Group, match, same_answers, same_prompt
from icl.leaderboard.measures import Measure
from icl.leaderboard.names import is_bare
from icl.leaderboard.power import LEVEL, Power, power_of
from icl.leaderboard.standings import Standing, standings
from icl.leaderboard.statistics import Resampler, holm, pseudo_values
from icl.leaderboard.training import Training
from icl.leaderboard.verdicts import Verdicts, none_graded
from icl.types import NO_USAGE, Usage

SECTIONS = ("model", "task")
"""What rows are alike in that stand together, unless told otherwise."""
Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row against its baseline, on the (seed, query) pairs that both hold."""

    baseline: str
    difference: Interval
    p: float
    test: str
    matched: int
    unmatched: int
    components: Components
    """Of the paired differences."""
    p_holm: float = 1.0
    p_seeds: float = 1.0
    """For new seeds and new queries, Holm's correction over all rows included."""
    other_prompts: int = 0
    """Of those unmatched: pairs across models whose prompts were not the same."""
    family: int = 1
    """Rows that Holm's correction allows for."""
    power: Power | None = None
    """At 0.05 over `family`; None with one seed."""
    nearest: bool = False
    """The baseline is not of the row's own setting, but the nearest that there is."""

    @property
    def mark(self) -> str:
        """* < 0.05, ** < 0.01, *** < 0.001 after Holm; in brackets where nothing is shown for new
        seeds: their own p, corrected too, is not below 0.05, or there is one seed only."""
        stars = "*" * sum(self.p_holm < level for level in (0.05, 0.01, 0.001))
        return f"({stars})" if stars and self.p_seeds >= 0.05 else stars


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the leaderboard: everything but the seed."""

    model: str
    task: str
    selector: str
    shots: int
    orderer: str
    method: str
    tuning: str
    value: Interval | None
    """None while no cell of the row is complete."""
    seeds: int
    """Complete cells; only these are averaged."""
    queries: int
    predictions: int
    usage: Usage = NO_USAGE
    """Inference, summed over the complete cells."""
    selection: Usage = NO_USAGE
    selection_seconds: float = 0.0
    flags: Counts = field(default_factory=dict)
    extraction: Extraction = NONE_READ
    dropped: int = 0
    kept_out: int = 0
    """Near duplicates of test items that were kept out of the pools."""
    skipped_rows: int = 0
    """Rows of the task's files that `skip_bad_rows` left out."""
    incomplete: tuple[str, ...] = ()
    """One line a cell that was left out because it is not complete."""
    comparison: Comparison | None = None
    is_baseline: bool = False
    nothing_shared: bool = False
    """Its baseline was asked none of its queries, under none of its seeds."""
    standing: Standing | None = None
    """Among the rows of its section; None while it is incomplete, or shares no query with the best."""
    analysis: Analysis | None = None
    """None while it is incomplete."""
    equal_cost: EqualCost | None = None
    """None where no row of its section costs as little."""
    environments: tuple[str, ...] = ()
    """Keys of the environments in which its cells were made."""
    versions: str = ""
    """In which versions it differs from most rows; "" where it does not."""
    training: Training | None = None
    """What the tuning cost; None without one."""
    verdicts: Verdicts | None = None
    """Of a judge; None where nobody judged all of it."""

    @property
    def is_bare(self) -> bool:
        """Majority class and zero-shot, tuned or not: no demonstrations were chosen."""
        return is_bare(self.cell)

    @property
    def is_reference(self) -> bool:
        """Majority class and zero-shot of the model as it is: what demonstrations or training must beat."""
        return self.is_bare and self.tuning == UNTUNED

    @property
    def leads(self) -> bool:
        """Best of its section or not distinguishable from it."""
        return self.standing is not None and self.standing.group == 1

    @property
    def sharing(self) -> float | None:
        """Tokens flat per token forwarded."""
        return self.usage.tokens_flat / self.usage.tokens_unique if self.usage.tokens_unique else None

    @property
    def tokens_per_query(self) -> float | None:
        """Flat tokens a query: what a plain engine or a paid service would count."""
        flat = self.usage.tokens_flat
        return flat / self.predictions if self.predictions and flat else None

    @property
    def cost(self) -> float:
        """Tokens forwarded a query: answering, choosing demonstrations, and training where the row trains."""
        trained = self.seeds * self.training.forwarded if self.training is not None else 0.0
        whole = self.usage.tokens_unique + self.selection.tokens_unique + trained
        return whole / self.predictions if self.predictions else 0.0

    @property
    def seconds(self) -> float:
        """Inference and selection together."""
        return self.usage.seconds + self.selection_seconds

    @property
    def setting(self) -> str:
        """The row in words, without model and task."""
        return self.cell.setting

    @property
    def cell(self) -> Cell:
        """The setting as a cell; its seed stands for all."""
        return Cell(
            self.model, self.task, self.selector, self.shots, self.orderer, self.method, 0, self.tuning
        )


def place(row: Row, rows: Sequence[Row]) -> str:
    """The row's task, with its model where the rows are of several."""
    return f"{row.task}, {row.model}" if any(other.model != row.model for other in rows) else row.task


def build_rows(
    groups: Sequence[Group],
    measure: Measure,
    resampler: Resampler,
    baseline: Baseline | None,
    sections: Sequence[str] = SECTIONS,
) -> list[Row]:
    """Rows with intervals, comparisons and Holm's correction over all of them, and rank groups within each
    section: the rows that are alike in `sections`."""
    bases = [g for g in groups if baseline is not None and baseline.is_row(g.cell)]
    rows = []
    for group in groups:
        row = _row(group, measure, resampler)
        row = replace(row, is_baseline=group in bases)
        if baseline is not None and not row.is_baseline and row.value is not None:
            base = find_baseline(group, bases, baseline)
            if base is not None:
                comparison = compare(group, base, measure, resampler, baseline.across_models)
                row = replace(row, nothing_shared=comparison is None)
                if comparison is not None:
                    comparison = replace(comparison, nearest=not baseline.pairs(group.cell, base.cell))
                row = replace(row, comparison=comparison)
        rows.append(row)
    tested = [i for i, row in enumerate(rows) if row.comparison is not None]
    compared = [c for i in tested if (c := rows[i].comparison) is not None]
    corrected = zip(
        tested, compared, holm([c.p for c in compared]), holm([c.p_seeds for c in compared]), strict=True
    )
    for i, comparison, p, p_seeds in corrected:
        told = power_of(comparison.difference.value, comparison.components, LEVEL / len(tested))
        rows[i] = replace(
            rows[i],
            comparison=replace(comparison, p_holm=p, p_seeds=p_seeds, family=len(tested), power=told),
        )
    values = values_of(groups, measure)
    section: Callable[[Group], Any] = lambda g: tuple(getattr(g.cell, axis) for axis in sections)  # noqa: E731
    stand = standings(groups, values, measure, resampler, section)
    found = analyse(groups, values, section)
    spent = equal_costs(groups, {row.cell.row: row.cost for row in rows}, values, measure, resampler, section)
    return [
        replace(
            row,
            standing=stand.get(group.key),
            analysis=found.get(group.key),
            equal_cost=spent.get(group.key),
        )
        for row, group in zip(rows, groups, strict=True)
    ]


def _row(group: Group, measure: Measure, resampler: Resampler) -> Row:
    lay = group.layout
    value = resampler.interval(measure.values(group.cell.task, lay)[0]) if group.complete else None
    flags: dict[str, int] = {}
    for result in group.complete:
        for prediction in result.predictions:
            for flag in prediction.flags:
                flags[flag] = flags.get(flag, 0) + 1
        fewer = int(result.notes.get("queries_with_fewer_demonstrations", 0))
        if fewer:
            flags["fewer_demonstrations"] = flags.get("fewer_demonstrations", 0) + fewer
    return Row(
        *group.key,
        value=value,
        seeds=len(lay.seeds),
        queries=len(lay.queries),
        predictions=lay.predictions,
        usage=Usage.total(r.usage for r in group.complete),
        selection=sum((r.selection_usage for r in group.complete), start=NO_USAGE),
        selection_seconds=sum(r.selection_seconds for r in group.complete),
        flags=flags,
        extraction=Extraction.of([p for r in group.complete for p in r.predictions]),
        dropped=sum(len(p.dropped) for r in group.complete for p in r.predictions),
        kept_out=sum(int(r.notes.get("overlap_kept_out_of_pool", 0)) for r in group.complete),
        skipped_rows=max((int(r.notes.get("skipped_rows", 0)) for r in group.complete), default=0),
        incomplete=tuple(f"seed {r.cell.seed}: {_left(r)}" for r in group.open),
        training=Training.of(group.complete),
        verdicts=Verdicts.of(group.complete),
        environments=tuple(dict.fromkeys(key for r in group.complete for key in r.environments)),
    )


def _left(result: CellResult) -> str:
    if none_graded(result):
        return "the judge could grade none of its answers"
    if result.damage:
        return f"damaged ({result.damage}); the run's command computes it again"
    return f"{len(result.predictions)} predictions so far"


def find_baseline(group: Group, baselines: Sequence[Group], baseline: Baseline) -> Group | None:
    """The baseline row that equals this one in everything that the baseline does not name.

    Rows without a setting of their own to share (zero-shot, majority class), or any row when the
    baseline is such a reference, take the nearest one of the same model and task: same tuning first,
    then same method, then fewest shots, then same orderer, then the label. Other rows have none.
    """
    cell = group.cell
    near = [g for g in baselines if g.cell.task == cell.task and g.complete]
    if not baseline.across_models:
        near = [g for g in near if g.cell.model == cell.model]
    for candidate in near:
        if baseline.pairs(cell, candidate.cell):
            return candidate
    near = [g for g in near if baseline.may_be_near(cell, g.cell)]
    distance: Callable[[Group], Any] = lambda g: (  # noqa: E731
        g.cell.tuning != cell.tuning,
        g.cell.method != cell.method,
        g.cell.shots,
        g.cell.orderer != cell.orderer,
        g.cell.orderer,
        g.cell.method,
    )
    return min(near, key=distance) if near else None


def compare(
    group: Group, baseline: Group, measure: Measure, resampler: Resampler, across_models: bool = False
) -> Comparison | None:
    """Difference and test on the matched pairs; None where no pair matches. across_models: only what was
    asked with the same prompt is a pair."""
    met = match(group.layout, baseline.layout)[0].predictions
    ours, theirs = match(group.layout, baseline.layout, same_prompt if across_models else None)
    if not ours.queries:
        return None
    mine, its = measure.values(group.cell.task, ours, theirs)
    test = resampler.test(mine, its, same_answers(ours, theirs))
    return Comparison(
        baseline=f"{baseline.cell.model}: " * across_models + baseline.cell.setting,
        difference=resampler.difference(mine, its),
        p=test.p,
        test=test.name,
        p_seeds=resampler.p_for_new_seeds(mine, its),
        components=components(filled(pseudo_values(mine) - pseudo_values(its))),
        matched=ours.predictions,
        unmatched=max(group.layout.predictions, baseline.layout.predictions) - ours.predictions,
        other_prompts=met - ours.predictions,
    )
