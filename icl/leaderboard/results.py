"""Results as they come from runs: each cell once, and a majority row where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from icl.errors import DataError
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.names import MAJORITY, base_name
from icl.types import Prediction


def without_copies(results: Sequence[CellResult]) -> list[CellResult]:
    """Each cell once: two runs may share their baseline rows. Costs may differ between copies, and
    one may be unfinished or damaged; predictions that both hold may not differ (DataError)."""
    kept: dict[Cell, CellResult] = {}
    for result in results:
        other = kept.setdefault(result.cell, result)
        if other is result:
            continue
        if other.damage or result.damage:
            kept[result.cell] = other if result.damage else result
            continue
        if any(_said(a) != _said(b) for a, b in zip(other.predictions, result.predictions, strict=False)):
            raise DataError(
                f"cell {result.cell.id} is in the results twice with different predictions: "
                "these runs differ in more than their rows; show them one by one"
            )
        if len(result.predictions) > len(other.predictions) or (result.complete and not other.complete):
            kept[result.cell] = result
    return list(kept.values())


def _said(prediction: Prediction) -> tuple[object, ...]:
    shown = tuple(name for name, _ in prediction.demonstrations)
    return (prediction.query_id, shown, prediction.answer, prediction.gold, prediction.correct)


def majority_cells(results: Sequence[CellResult]) -> list[CellResult]:
    """Constant answers for each (model, task, seed) of a labelled task without a majority row.

    The runner writes that row from the pool's labels. Results that come without it get the test
    set's own most frequent label: the best that any constant answer can do. Tasks whose
    predictions score no labels have no majority class.
    """
    has = {(r.cell.model, r.cell.task) for r in results if base_name(r.cell.selector) == MAJORITY}
    made: dict[tuple[str, str, int], CellResult] = {}
    for result in results:
        cell = result.cell
        key = (cell.model, cell.task, cell.seed)
        labelled = bool(result.predictions) and all(p.label_scores for p in result.predictions)
        if not (result.complete and labelled) or key in made or key[:2] in has:
            continue
        label, _ = Counter(p.gold for p in result.predictions).most_common(1)[0]
        predictions = tuple(
            Prediction(p.query_id, (), label, p.gold, p.gold == label) for p in result.predictions
        )
        majority = Cell(cell.model, cell.task, MAJORITY, 0, "-", "-", cell.seed)
        made[key] = CellResult(majority, predictions, complete=True)
    return list(made.values())
