"""Every prediction of a run as one row of typed columns: for SQL, data frames and files.

The types are those that Parquet, pandas, polars, duckdb and datasets all read: numbers, texts, and lists of
them. Rows come in batches, so that a run of any size passes through little memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow

from icl.errors import DataError
from icl.experiments.folder.store import RunFolder
from icl.experiments.folder.verdicts import DETAIL
from icl.experiments.records import Cell, CellResult
from icl.labels import label_probabilities
from icl.types import Prediction

BATCH = 4096
"""Rows made at once."""
TEXTS, NUMBERS = pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.float64())


@dataclass(frozen=True, slots=True)
class Line:
    """A prediction and where it stands."""

    run: str
    cell_id: str
    metric: str
    result: CellResult
    prediction: Prediction

    @property
    def cell(self) -> Cell:
        """The point of the grid."""
        return self.result.cell

    @property
    def value(self) -> float:
        """What the task's metric gives this one answer: 1 right, 0 wrong, or a part of it."""
        return float(self.prediction.details.get("score", self.prediction.correct))

    @property
    def judged(self) -> Mapping[str, Any]:
        """What the run's judge said; {} without one."""
        found: Mapping[str, Any] = self.prediction.details.get(DETAIL, {})
        return found

    @property
    def probabilities(self) -> list[float]:
        """In the order of the labels; [] where there are none."""
        return list(label_probabilities(self.prediction.label_scores).values())


COLUMNS: dict[str, tuple[pyarrow.DataType, Callable[[Line], Any]]] = {
    "run": (pyarrow.string(), lambda at: at.run),
    "cell": (pyarrow.string(), lambda at: at.cell_id),
    "model": (pyarrow.string(), lambda at: at.cell.model),
    "task": (pyarrow.string(), lambda at: at.cell.task),
    "selector": (pyarrow.string(), lambda at: at.cell.selector),
    "shots": (pyarrow.int64(), lambda at: at.cell.shots),
    "orderer": (pyarrow.string(), lambda at: at.cell.orderer),
    "method": (pyarrow.string(), lambda at: at.cell.method),
    "tuning": (pyarrow.string(), lambda at: at.cell.tuning),
    "seed": (pyarrow.int64(), lambda at: at.cell.seed),
    "complete": (pyarrow.bool_(), lambda at: at.result.complete),
    "query_id": (pyarrow.string(), lambda at: at.prediction.query_id),
    "gold": (pyarrow.string(), lambda at: at.prediction.gold),
    "answer": (pyarrow.string(), lambda at: at.prediction.answer),
    "correct": (pyarrow.bool_(), lambda at: at.prediction.correct),
    "metric": (pyarrow.string(), lambda at: at.metric),
    "value": (pyarrow.float64(), lambda at: at.value),
    "judge_label": (pyarrow.string(), lambda at: at.judged.get("label")),
    "judge_score": (pyarrow.float64(), lambda at: at.judged.get("score")),
    "labels": (TEXTS, lambda at: list(at.prediction.label_scores)),
    "label_scores": (NUMBERS, lambda at: list(at.prediction.label_scores.values())),
    "label_probabilities": (NUMBERS, lambda at: at.probabilities),
    "flags": (TEXTS, lambda at: list(at.prediction.flags)),
    "demonstrations": (TEXTS, lambda at: [name for name, _ in at.prediction.demonstrations]),
    "demonstration_scores": (NUMBERS, lambda at: [score for _, score in at.prediction.demonstrations]),
    "dropped": (TEXTS, lambda at: [dropped.id for dropped in at.prediction.dropped]),
    "output": (pyarrow.string(), lambda at: at.prediction.output),
    "prompt_tokens": (pyarrow.int64(), lambda at: at.prediction.details.get("prompt_tokens")),
    "tokens_flat": (pyarrow.int64(), lambda at: at.prediction.usage.tokens_flat),
    "tokens_unique": (pyarrow.int64(), lambda at: at.prediction.usage.tokens_unique),
    "tokens_generated": (pyarrow.int64(), lambda at: at.prediction.usage.tokens_generated),
    "requests": (pyarrow.int64(), lambda at: at.prediction.usage.requests),
    "seconds": (pyarrow.float64(), lambda at: at.prediction.usage.seconds),
    "details": (
        pyarrow.string(),
        lambda at: json.dumps(at.prediction.details, ensure_ascii=False, default=str),
    ),
}
"""Column -> its type and what stands in it. Lists of a row stand side by side: `label_scores` and
`label_probabilities` in the order of `labels`, `demonstration_scores` (null: the selector gave none) in that
of `demonstrations`, which is the prompt's. `details` is JSON text."""
SCHEMA = pyarrow.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


def batches(
    folder: RunFolder,
    note: Callable[[str], None] = lambda _: None,
    step: Callable[[str], None] = lambda _: None,
) -> Iterator[pyarrow.RecordBatch]:
    """Rows of one run in the order of its grid, BATCH at most at once, one cell in memory at a time.

    `note` is told in a sentence what is not among the rows and what is not final, `step` of each cell
    before it is read. Raises DataError, OSError.
    """
    cells = folder.cells()
    metrics = {name: _metric(folder, name) for name in {cell.task for cell in cells}}
    unfinished, judge = 0, folder.judge
    for number, cell in enumerate(cells, start=1):
        step(f"{folder.name}: cell {number} of {len(cells)}")
        result = folder.verdicts.judged(folder.result(cell), judge)
        for said in (result.damage, result.unread):
            if said:
                note(said)
        unfinished += not result.complete
        about = (folder.name, cell.id, metrics[cell.task], result)
        for start in range(0, len(result.predictions), BATCH):
            yield _batch([Line(*about, p) for p in result.predictions[start : start + BATCH]])
    if unfinished:
        note(
            f"{folder.path}: {unfinished} of {len(cells)} cells are not complete; column complete says which"
        )


def table(folders: Sequence[RunFolder], note: Callable[[str], None] = lambda _: None) -> pyarrow.Table:
    """All rows of several runs, in memory."""
    return pyarrow.Table.from_batches(
        [batch for folder in folders for batch in batches(folder, note)], SCHEMA
    )


def _metric(folder: RunFolder, task: str) -> str:
    """A task's own metric; that of a folder of an older icl without definitions is not known, and its
    lines say whether they are right."""
    held = folder.task(task)
    return "accuracy" if held is None else held.metric


def _batch(lines: Sequence[Line]) -> pyarrow.RecordBatch:
    try:
        arrays = [_array([read(line) for line in lines], kind) for kind, read in COLUMNS.values()]
    except (pyarrow.ArrowException, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"cell {lines[0].cell_id}: holds a value of another type than icl writes ({error})"
        ) from error
    return pyarrow.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _array(values: list[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    try:
        return pyarrow.array(values, kind)
    except UnicodeEncodeError:
        return pyarrow.array(_encodable(values), kind)


def _encodable(value: Any) -> Any:
    """Half a surrogate pair, which no file of columns can hold, becomes U+FFFD."""
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
