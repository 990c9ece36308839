"""SQL over run folders: every prediction of every cell as one row of a duckdb view."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

from icl.errors import ConfigError
from icl.experiments.folder.store import RunFolder
from icl.experiments.records import CellResult
from icl.types import Prediction

COLUMNS: dict[str, pyarrow.DataType] = {
    "run": pyarrow.string(),
    "model": pyarrow.string(),
    "task": pyarrow.string(),
    "selector": pyarrow.string(),
    "shots": pyarrow.int64(),
    "orderer": pyarrow.string(),
    "method": pyarrow.string(),
    "tuning": pyarrow.string(),
    "seed": pyarrow.int64(),
    "complete": pyarrow.bool_(),
    "query_id": pyarrow.string(),
    "answer": pyarrow.string(),
    "gold": pyarrow.string(),
    "correct": pyarrow.bool_(),
    "output": pyarrow.string(),
    "demonstrations": pyarrow.list_(pyarrow.string()),
    "scores": pyarrow.list_(pyarrow.float64()),
    "flags": pyarrow.list_(pyarrow.string()),
    "dropped": pyarrow.list_(pyarrow.string()),
    "label_scores": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
    "details": pyarrow.string(),
    "tokens_flat": pyarrow.int64(),
    "tokens_unique": pyarrow.int64(),
    "tokens_generated": pyarrow.int64(),
    "seconds": pyarrow.float64(),
}
"""Columns of `predictions`; `details` is JSON text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query with the names of their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def query(runs: Sequence[Path | str], sql: str) -> Answer:
    """Runs `sql` on the table `predictions` of these run folders, e.g.
    "select selector, shots, avg(correct::int) from predictions where complete group by all".

    Only these predictions can be read: duckdb's access to files and network is switched off.
    Raises DataError (no run folder), ConfigError (the SQL cannot be run; duckdb's own words).
    """
    records: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for path in runs:
        folder = RunFolder.open(path)
        for result in folder.results():
            for prediction in result.predictions:
                for name, value in zip(COLUMNS, _record(folder.name, result, prediction), strict=True):
                    records[name].append(value)
    table = pyarrow.table(records, schema=pyarrow.schema(list(COLUMNS.items())))
    connection = duckdb.connect(":memory:")
    try:
        connection.register("arrow", table)
        connection.execute("create table predictions as select * from arrow")
        connection.unregister("arrow")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        found = connection.execute(sql)
        names = tuple(column[0] for column in found.description or ())
        return Answer(names, tuple(found.fetchall()))
    except duckdb.Error as error:
        raise ConfigError(f"query: {error}") from error
    finally:
        connection.close()


def _record(run: str, result: CellResult, prediction: Prediction) -> tuple[Any, ...]:
    """One line, in the order of COLUMNS."""
    usage = prediction.usage
    return (
        run,
        *result.cell.row,
        result.cell.seed,
        result.complete,
        prediction.query_id,
        prediction.answer,
        prediction.gold,
        prediction.correct,
        prediction.output,
        [name for name, _ in prediction.demonstrations],
        [score for _, score in prediction.demonstrations],
        list(prediction.flags),
        [dropped.id for dropped in prediction.dropped],
        list(prediction.label_scores.items()),
        json.dumps(prediction.details, ensure_ascii=False, default=str),
        usage.tokens_flat,
        usage.tokens_unique,
        usage.tokens_generated,
        usage.seconds,
    )
