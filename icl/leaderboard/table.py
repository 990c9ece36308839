"""`leaderboard(results)`: from cell results to a table with intervals, tests and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rich.table import Table

from icl.errors import DataError
from icl.experiments.file.baseline import Baseline, BaselineError, resolve_baseline
from icl.experiments.folder.verdicts import DETAIL
from icl.experiments.records import CellResult
from icl.leaderboard import fields, filters, formats
from icl.leaderboard.board import Board
from icl.leaderboard.footer import footer
from icl.leaderboard.layout import group_cells
from icl.leaderboard.measures import Measure, measure
from icl.leaderboard.pivot import Pivot
from icl.leaderboard.results import majority_cells, without_copies
from icl.leaderboard.rich_html import board_html
from icl.leaderboard.rows import SECTIONS, Row, build_rows
from icl.leaderboard.statistics import Resampler
from icl.leaderboard.verdicts import none_graded
from icl.leaderboard.versions import Versions, marked
from icl.leaderboard.views import RESULTS, check_view
from icl.protocols import Metric
from icl.types import Task


class Leaderboard(Board):
    """A board that can be written down."""

    __slots__ = ()

    @property
    def footer(self) -> list[str]:
        """Sentences on statistics, marks, and whatever was left out, dropped or unparsed."""
        return footer(self)

    def to_rich(self, width: int = 100) -> Table:
        """For the terminal: the least important columns go where `width` is too narrow, and the
        caption says which."""
        return formats.to_rich(self, width)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return board_html(self)

    def to_markdown(self) -> str:
        """A GitHub table with the title above and the footer below."""
        return formats.to_markdown(self)

    def to_csv(self) -> str:
        """Every field of every row in full precision; fractions, not per cent."""
        return fields.to_csv(self)

    def to_json(self) -> str:
        """The rows as in the CSV, the title and the footer, as one object."""
        return fields.to_json(self)

    def pivot(self, rows: str | Sequence[str] = ("selector",)) -> Pivot:
        """Crosswise: these axes down, the sections (`group`) across. DataError where several rows would fall
        into one cell, when it is written."""
        return Pivot(self, filters.axes("rows", listed(rows)))

    def to_latex(self) -> str:
        """A booktabs table, escaped."""
        return formats.to_latex(self)


def leaderboard(
    results: Sequence[CellResult],
    *,
    metric: str | Metric | None = "accuracy",
    compare_to: str | Mapping[str, str | int] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    tasks: Mapping[str, Task] | None = None,
    precision: str = "",
    majority: bool = True,
    view: str = RESULTS,
    versions: Versions | None = None,
    where: str | Sequence[str] = (),
    sort: str | None = None,
    group: str | Sequence[str] = SECTIONS,
) -> Leaderboard:
    """Means over seeds with 95 % intervals, and paired differences to a baseline.

    metric: a registered metric's name, a Metric, or None for each task's own. `tasks` (by name)
    tell metrics kinds and labels; without them accuracy is the share of predictions marked
    correct, and other metrics see the labels met in the predictions. compare_to: a selector's
    label or name, or values of other components: {"orderer": "as_selected"}, also as text
    ("orderer=as_selected,method=direct"). A row is compared with the one that has these values and
    equals it in everything else (model, task, selector, shots, orderer, method, tuning); zero-shot and
    majority rows with the nearest one (same method first, then fewest shots). p-values are
    Holm-corrected over all rows compared.
    view: which columns stand beside the settings. where: conditions that shown rows fit, "shots>=4",
    "selector=knn|bm25"; sort: a field of the CSV, "-" in front from high to low. Numbers depend on neither.
    group: axes that the rows of one section are alike in; ranks and equal cost are found within sections.
    majority: adds a majority-class row for labelled tasks that have none. `precision` is said in
    the footer. versions: those of the environments that cells name; rows of others than the rest are marked.
    Only complete cells count; the others are listed.

    A cell that two runs share counts once. Raises ConfigError (unknown metric or baseline, with
    the nearest name), DataError (no results; a cell twice with different predictions).
    """
    if not results:
        raise DataError("no results: the run folder holds no cell yet")
    where, group = listed(where), listed(group)
    cells = without_copies(results)
    if metric == DETAIL:
        cells = [replace(r, complete=False) if none_graded(r) else r for r in cells]
    made = majority_cells(cells) if majority and metric != DETAIL else []
    cells += made
    groups = group_cells(cells)
    judge = measure(metric, tasks or {}, cells)
    try:
        baseline = None if compare_to is None else resolve_baseline(compare_to, [g.cell for g in groups])
    except BaselineError as error:
        raise BaselineError(f"compare_to: {error}", error.axis) from error
    sections = filters.axes("group", group)
    built = build_rows(groups, judge, Resampler(resamples, seed), baseline, sections)
    rows = marked(built, versions or {})
    check_view(view, rows)
    shown = _arranged(filters.where(rows, where, judge.name), sections, sort, judge.name)
    notes = _notes(tasks_of(made), judge, baseline, where, f"{len(shown)} of {len(rows)}")
    named = baseline.text if baseline is not None else None
    return Leaderboard(tuple(shown), judge.name, named, resamples, precision, tuple(notes), sections, view)


def listed(given: str | Sequence[str]) -> Sequence[str]:
    """Several texts, or one alone, which may hold several with commas."""
    return (given,) if isinstance(given, str) else given


def _notes(
    majority: Sequence[str], judge: Measure, baseline: Baseline | None, where: Sequence[str], shown: str
) -> list[str]:
    """What is said beside the rows. majority: tasks that were given a majority row; shown: how many rows."""
    notes = [f"Majority class: the most frequent label of the test set ({name})." for name in majority]
    if judge.name == "score":
        notes.append("score: " + ", ".join(f"{name} {j.name}" for name, j in judge.judged.items()) + ".")
    if baseline is not None and baseline.across_models:
        notes.append(
            "Models are compared on the queries for which they were shown the same demonstrations in the "
            "same order."
        )
    if where:
        notes.append(f"Shown: {shown} rows ({', '.join(where)}); numbers are those of all.")
    return notes


def _arranged(rows: Sequence[Row], sections: Sequence[str], sort: str | None, metric: str) -> list[Row]:
    """By section in order of appearance, then by a field, or from the best to what is incomplete."""
    of: Callable[[Row], tuple[object, ...]] = lambda row: tuple(getattr(row, axis) for axis in sections)  # noqa: E731
    places = {key: at for at, key in enumerate(dict.fromkeys(map(of, rows)))}
    if sort is None:
        inside = sorted(rows, key=lambda r: (r.value is None, -(r.value.value if r.value else 0.0)))
    else:
        inside = filters.ordered(rows, sort, metric)
    return sorted(inside, key=lambda row: places[of(row)])


def tasks_of(cells: Sequence[CellResult]) -> list[str]:
    """Names of the cells' tasks in order."""
    return list(dict.fromkeys(result.cell.task for result in cells))
