"""Seeds x queries: cells by row, their predictions laid out, and two rows brought onto what both hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icl.errors import DataError
from icl.experiments.records import Cell, CellResult, RowKey
from icl.types import Prediction


@dataclass(frozen=True, slots=True)
class Layout:
    """Predictions of one row; `grid[s][q]` is None where seed s did not see query q."""

    seeds: tuple[int, ...]
    queries: tuple[str, ...]
    grid: tuple[tuple[Prediction | None, ...], ...]

    @property
    def predictions(self) -> int:
        """Number of (seed, query) pairs present."""
        return sum(p is not None for line in self.grid for p in line)


def layout(cells: Sequence[CellResult]) -> Layout:
    """Cells of one row, sorted by seed. Raises DataError on a seed or a query that stands twice."""
    by_seed: dict[int, dict[str, Prediction]] = {}
    order: dict[str, None] = {}
    for result in sorted(cells, key=lambda r: r.cell.seed):
        if result.cell.seed in by_seed:
            raise DataError(f"cell {result.cell.id} is in the results twice; give each run folder once")
        column: dict[str, Prediction] = {}
        for prediction in result.predictions:
            if prediction.query_id in column:
                raise DataError(f"cell {result.cell.id} holds query {prediction.query_id!r} twice")
            column[prediction.query_id] = prediction
            order.setdefault(prediction.query_id)
        by_seed[result.cell.seed] = column
    grid = tuple(tuple(column.get(q) for q in order) for column in by_seed.values())
    return Layout(tuple(by_seed), tuple(order), grid)


def same_prompt(mine: Prediction, its: Prediction) -> bool:
    """Whether two models were shown the same demonstrations in the same order, and lost the same of them to
    their context windows."""
    ours, theirs = (
        [[name for name, _ in one.demonstrations], [dropped.id for dropped in one.dropped]]
        for one in (mine, its)
    )
    return ours == theirs


def match(
    row: Layout, baseline: Layout, fits: Callable[[Prediction, Prediction], bool] | None = None
) -> tuple[Layout, Layout]:
    """Both layouts on the (seed, query) pairs that both hold and that fit, in the order of `row`."""
    lines, mine = (
        {
            seed: dict(zip(lay.queries, line, strict=True))
            for seed, line in zip(lay.seeds, lay.grid, strict=True)
        }
        for lay in (baseline, row)
    )
    pairs: dict[int, dict[str, tuple[Prediction, Prediction]]] = {}
    for seed in row.seeds:
        other = lines.get(seed, {})
        both = {
            q: (p, o)
            for q, p in mine[seed].items()
            if p is not None and (o := other.get(q)) is not None and (fits is None or fits(p, o))
        }
        if both:
            pairs[seed] = both
    queries = tuple(q for q in row.queries if any(q in both for both in pairs.values()))
    sides = []
    for side in (0, 1):
        grid = tuple(tuple(both[q][side] if q in both else None for q in queries) for both in pairs.values())
        sides.append(Layout(tuple(pairs), queries, grid))
    return sides[0], sides[1]


def same_answers(row: Layout, baseline: Layout) -> list[bool]:
    """Of two layouts with the same seeds and queries: whether both say the same of a query in every seed."""
    return [
        all(
            a is None or b is None or (a.answer == b.answer and a.correct == b.correct)
            for a, b in ((row.grid[s][q], baseline.grid[s][q]) for s in range(len(row.seeds)))
        )
        for q in range(len(row.queries))
    ]


@dataclass(frozen=True, slots=True)
class Group:
    """The cells of one row: those that count and the layout of their predictions."""

    key: RowKey
    complete: tuple[CellResult, ...]
    open: tuple[CellResult, ...]
    layout: Layout

    @property
    def cell(self) -> Cell:
        """The setting as a cell; its seed stands for all."""
        model, task, selector, shots, orderer, method, tuning = self.key
        return Cell(model, task, selector, shots, orderer, method, 0, tuning)


def group_cells(results: Sequence[CellResult]) -> list[Group]:
    """Results by row, in order of first appearance."""
    rows: dict[RowKey, list[CellResult]] = {}
    for result in results:
        rows.setdefault(result.cell.row, []).append(result)
    groups = []
    for key, cells in rows.items():
        whole = layout(cells)  # refuses seeds and queries that stand twice, in incomplete cells too
        done = tuple(r for r in cells if r.complete and r.predictions)
        left = tuple(r for r in cells if not (r.complete and r.predictions))
        groups.append(Group(key, done, left, layout(done) if left else whole))
    return groups
