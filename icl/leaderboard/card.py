"""The card of a row: everything that its number was made from, for a person or a program to check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from icl.errors import DataError
from icl.experiments.folder.cellfile import read_summary
from icl.experiments.folder.changes import OF_MODELS
from icl.experiments.folder.placing import CELLS
from icl.experiments.folder.store import RunFolder
from icl.experiments.records import CellResult
from icl.leaderboard.board import Board
from icl.leaderboard.fields import FIELDS
from icl.leaderboard.names import AXES, MAJORITY
from icl.leaderboard.rows import Row
from icl.printable import visible

RESULT = ("value", "low", "high", "queries", "predictions", "incomplete", "other_versions")
COSTS = (
    "tokens_flat", "tokens_unique", "tokens_generated", "tokens_per_query", "seconds", "selection_requests",
    "selection_tokens", "selection_tokens_unique", "selection_seconds", "trainable_parameters",
    "training_steps", "training_tokens", "training_tokens_validation", "training_seconds",
    "training_peak_bytes",
)  # fmt: skip
NOT_OF_A_ROW = frozenset({"name", "model", "task", "seeds", "grid", "leaderboard"})


@dataclass(frozen=True, slots=True)
class Card:
    """One row of a run. `plain` is its whole content, for JSON."""

    plain: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Run and row in words."""
        row = self.plain["row"]
        return f"{self.plain['run']}: {row['model']}, {row['task']}, {self.plain['setting']}"

    def to_rich(self) -> Table:
        """For the terminal: a line a fact, nothing that could steer it."""
        table = Table(
            title=Text(visible(self.title), style="bold"), title_justify="left", box=None, show_header=False
        )
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(overflow="fold")
        for name, value in _lines(self.plain):
            table.add_row(Text(visible(name)), Text(visible(value)))
        return table


def cards(folder: RunFolder, board: Board, wanted: str | None = None) -> list[Card]:
    """Of the rows of a run whose words hold `wanted` ("knn 4-shot"), or of all. board: of this run.

    Raises DataError, with the rows to choose from, where none fits.
    """
    rows = [row for row in board.rows if wanted is None or _bare(wanted) in _bare(_words(row))]
    if not rows:
        some = "; ".join(_words(row) for row in board.rows[:8])
        more = f"; ... ({len(board.rows)} in all)" if len(board.rows) > 8 else ""
        raise DataError(f"--row {wanted!r} fits no row; the rows are: {some}{more}")
    results: dict[Any, list[CellResult]] = {}
    for result in folder.results():
        results.setdefault(result.cell.row, []).append(result)
    return [Card(_plain(folder, board, row, results.get(row.cell.row, []))) for row in rows]


def _words(row: Row) -> str:
    return f"{row.model} {row.task} {row.setting}"


def _bare(text: str) -> str:
    """ "knn 4-shot" fits whatever stands between its words."""
    return re.sub(r"[^a-z0-9.=]+", " ", text.lower()).strip()


def _plain(folder: RunFolder, board: Board, row: Row, results: Sequence[CellResult]) -> dict[str, Any]:
    manifest, numbers = folder.manifest(), {name: get(row) for name, get in FIELDS.items()}
    known = folder.environments()
    asks = row.selector != MAJORITY
    return {
        "run": folder.name,
        "row": {axis: getattr(row, axis) for axis in AXES},
        "setting": board.names.of(row.cell, ("model", "task")) if row.is_bare else row.setting,
        "result": {"metric": board.metric, **{name: numbers[name] for name in RESULT}},
        "seeds": [_seed(folder, board.metric, result) for result in results],
        "configuration": _configuration(folder, row),
        "cost": {name: numbers[name] for name in COSTS if numbers[name] not in (None, 0, 0.0)},
        "fingerprints": {
            **({"model": folder.models().get(row.model)} if asks else {}),
            **({"encoder": manifest["encoder"]} if asks and manifest.get("encoder") else {}),
            **_tunings(results),
            "data": manifest.get("data", {}).get(row.task),
        },
        "environments": [known[key] for key in row.environments if key in known],
        "sessions": [
            {key: session.get(key) for key in ("began", "ended", "ended_by", "engine", "environment")}
            for session in manifest.get("sessions", [])
        ],
        "again": f"icl reproduce {folder.path}",
    }


def _seed(folder: RunFolder, metric: str, result: CellResult) -> dict[str, Any]:
    """One cell: its own value, and the digest of its lines."""
    summary = None if result.damage else read_summary(folder.path / CELLS, result.cell)
    return {
        "seed": result.cell.seed,
        "cell": result.cell.id,
        "complete": result.complete,
        "predictions": len(result.predictions),
        "value": result.metrics.get(metric),
        "digest": summary.digest if summary else None,
    }


def _configuration(folder: RunFolder, row: Row) -> dict[str, Any]:
    """What holds for every cell of the row, with the settings of its model."""
    experiment = folder.read_experiment()
    whole = {key: value for key, value in experiment.resolved.items() if key not in NOT_OF_A_ROW}
    if row.model not in {choice.label for choice in experiment.models}:
        return whole
    one = experiment.of(row.model)
    options = {"options": dict(one.choice.options)} if one.choice.is_backend else {}
    return {**whole, **{key: getattr(one, key) for key in sorted(OF_MODELS - {"model"})}, **options}


def _tunings(results: Sequence[CellResult]) -> dict[str, Any]:
    found = {
        str(result.cell.seed): tuning.get("fingerprint")
        for result in results
        if isinstance(tuning := result.notes.get("tuning"), Mapping)
    }
    return {"tuning, by seed": found} if found else {}


def _lines(plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    result = plain["result"]
    if result["value"] is not None:
        low, high = (f"{100 * result[end]:.1f}" for end in ("low", "high"))
        yield result["metric"], f"{100 * result['value']:.1f} %, 95 % interval [{low}, {high}]"
    yield "queries", f"{result['queries']}, {result['predictions']} predictions in all"
    for name in ("incomplete", "other_versions"):
        if result[name]:
            yield name.replace("_", " "), str(result[name])
    for seed in plain["seeds"]:
        value = f"{100 * seed['value']:.1f} %" if seed["value"] is not None else "-"
        state = "" if seed["complete"] else ", not complete"
        yield f"seed {seed['seed']}", f"{value}{state}, lines {seed['digest'] or '-'}, {seed['cell']}"
    for part in ("configuration", "cost", "fingerprints"):
        yield from _flat(part, plain[part])
    for environment in plain["environments"]:
        yield "versions", ", ".join(f"{k} {v}" for k, v in (environment.get("versions") or {}).items())
        yield "hardware", ", ".join(f"{k} {v}" for k, v in (environment.get("hardware") or {}).items())
    for session in plain["sessions"]:
        yield "session", ", ".join(str(value) for value in session.values() if value)
    yield "again", plain["again"]


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name not in ("configuration", "cost") else str(key), inner)
    elif value is not None:
        yield name, f"{value:,.4g}" if isinstance(value, float) else str(value)
