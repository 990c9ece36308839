"""What a page holds: an index that is read at once, and blocks that are read when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from icl.errors import DataError
from icl.experiments.audit import Auditor
from icl.experiments.folder.store import RunFolder
from icl.experiments.records import Cell, CellResult
from icl.leaderboard.fields import FIELDS, records
from icl.leaderboard.grid import LEADS
from icl.leaderboard.names import MAJORITY, is_bare
from icl.leaderboard.overall_table import overall
from icl.leaderboard.page.details import details_of
from icl.leaderboard.page.packing import pack
from icl.leaderboard.page.predictions import Columns
from icl.leaderboard.page.shared import Beginnings
from icl.leaderboard.page.texts import Examples, Texts
from icl.leaderboard.results import without_copies
from icl.leaderboard.rows import Row
from icl.leaderboard.table import Leaderboard
from icl.printable import STEERING
from icl.types import Task

Note = Callable[[str], None]


@dataclass
class Content:
    """`index`: JSON-able. `blocks`: name -> compressed JSON."""

    index: dict[str, Any]
    blocks: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A run folder and what was read of it."""

    folder: RunFolder
    results: Sequence[CellResult]


def content(
    board: Leaderboard,
    sources: Sequence[Source],
    *,
    title: str,
    tasks: Mapping[str, Task] | None = None,
    note: Note = lambda _: None,
    queries: int | None = None,
) -> Content:
    """Everything a page shows of `board`, which was made of these results.

    A cell that two runs share is shown once. queries: of so many of each task the page has the predictions
    (None: of all), and says so. Raises DataError (a run of other data).
    """
    everything = [result for source in sources for result in source.results]
    shown = None if queries is None else first_queries(everything, queries)
    kept = {id(result) for result in without_copies(everything)}
    rows = {row_key(row.cell): at for at, row in enumerate(board.rows)}
    index = _beginning(board, sources, title)
    made = Content(index)
    by_row: dict[int, list[CellResult]] = {}
    texts = Texts()
    total = sum(len(r.predictions) for s in sources for r in s.results if id(r) in kept)
    done = 0
    for number, source in enumerate(sources):
        beginnings, places, examples = Beginnings(), dict[str, int](), dict[str, Examples]()
        with ExitStack() as stack:
            auditor = stack.enter_context(Auditor(source.folder, measured=False))
            columns = Columns(auditor, texts, beginnings)
            for result in source.results:
                row = rows.get(row_key(result.cell))
                if id(result) not in kept or row is None:
                    continue
                at = places[result.cell.id] = len(index["cells"])
                by_row.setdefault(row, []).append(result)
                index["cells"].append(_cell(board, result, row, number))
                held = examples.setdefault(result.cell.task, Examples())
                told = result if shown is None else _of(result, shown[result.cell.task])
                made.blocks[f"p{at}"] = pack(columns.of(told, held))
                done += len(told.predictions)
                note(f"{done:,} of {total:,} predictions")
        _put_examples(made, examples, number)
        for cell, lengths in beginnings.lengths(texts.all).items():
            made.blocks[f"h{places[cell]}"] = pack([lengths.get(i, 0) for i in range(max(lengths) + 1)])
    note("texts and figures")
    starts = []
    for at, (first, block) in enumerate(texts.blocks()):
        starts.append(first)
        made.blocks[f"t{at}"] = pack(block)
    index["texts"] = starts
    index["overall"] = _overall(board, everything, tasks or {})
    index["queries"] = max(map(len, first_queries(everything, None).values()), default=0)
    index["left_out"] = None if queries is None else left_out(done, total, queries)
    for at, results in by_row.items():
        made.blocks[f"r{at}"] = pack(details_of(board, results, tasks or {}))
    return made


def _beginning(board: Leaderboard, sources: Sequence[Source], title: str) -> dict[str, Any]:
    """The index as far as the board says it; cells and examples are still to come."""
    return {
        "title": title,
        "caption": board.title,
        "metric": board.metric,
        "compare_to": board.compare_to,
        "steering": script_class(STEERING),
        "columns": _columns(board),
        "rows": [_row(board, row, held) for row, held in zip(board.rows, records(board), strict=True)],
        "short": _short(board),
        "footer": board.footer,
        "runs": [{"name": s.folder.name, "manifest": _about(s.folder)} for s in sources],
        "cells": [],
        "examples": [],
    }


def first_queries(results: Sequence[CellResult], count: int | None) -> Mapping[str, frozenset[str]]:
    """Task -> ids of its first `count` queries, the same in all cells; None: of all."""
    met: dict[str, dict[str, None]] = {}
    for result in results:
        met.setdefault(result.cell.task, {}).update(dict.fromkeys(p.query_id for p in result.predictions))
    return {task: frozenset(list(ids)[:count]) for task, ids in met.items()}


def _of(result: CellResult, queries: frozenset[str]) -> CellResult:
    return replace(result, predictions=tuple(p for p in result.predictions if p.query_id in queries))


def left_out(kept: int, whole: int, queries: int) -> str:
    """What a page of the first `queries` queries holds, and where the rest is."""
    return (
        f"This page holds {kept:,} of {whole:,} predictions, those of the first {queries:,} queries of each "
        "task, to stay small; its table and figures are of all. The rest: icl view RUN, "
        "icl report RUN --max-mb 0 (no limit), or icl export RUN."
    )


def row_key(cell: Cell) -> tuple[object, ...]:
    """Of the row that a cell is part of."""
    return cell.row


def script_class(characters: str) -> str:
    r"""A class of Python's `re`, as literal characters and ranges, for JavaScript with the flag u."""
    return "".join(c if c == "-" else f"\\u{{{ord(c):x}}}" for c in characters)


def _columns(board: Leaderboard) -> list[dict[str, Any]]:
    """Those of the table first, in its order and with its words; then every field of the CSV."""
    shown = board.columns
    found = [
        {
            "key": c.key,
            "header": c.header.strip(),
            "number": c.is_number,
            "rank": c.rank,
            "sort": SORTED_BY.get(c.key, c.key),
        }
        for c in shown
    ]
    flags = {f"flag_{name}" for row in board.rows for name in row.flags}
    known = {c.key for c in shown}
    extra = [name for name in FIELDS if name not in known]
    return found + [
        {
            "key": name,
            "header": name.replace("_", " "),
            "number": name not in WORDS,
            "field": True,
            "sort": name,
        }
        for name in [*extra, *sorted(flags - known)]
    ]


SORTED_BY = {
    "interval": "low",
    "difference_interval": "difference_low",
    "p": "p_holm",
    "n": "predictions",
    "tokens": "tokens_flat",
    "selection": "selection_tokens",
    "trainable": "trainable_parameters",
    "training_peak": "training_peak_bytes",
    "extraction": "unparsed",
    "thinking": "thinking_tokens",
}
"""Column of the table -> field of the CSV whose number orders it, where they are not called alike."""
WORDS = frozenset(
    {"model", "task", "selector", "orderer", "method", "tuning", "baseline", "test", "incomplete"}
)


def _row(board: Leaderboard, row: Row, held: Mapping[str, object]) -> dict[str, Any]:
    return {
        "id": row.cell.id,
        "name": board.names.of(row.cell, ("model", "task")) if row.is_bare else row.setting,
        "fields": {name: value for name, value in held.items() if value is not None},
        "shown": {c.key: c.show(row) for c in board.columns},
        "reference": row.is_reference,
        "bare": row.is_bare,
        "baseline": row.is_baseline,
        "majority": row.selector == MAJORITY,
        "incomplete": list(row.incomplete),
        "flags": dict(row.flags),
    }


def _short(board: Leaderboard) -> dict[str, dict[str, str]]:
    """Axis -> label -> the label without what all others of its kind have too: how figures name rows."""
    names = board.names
    return {
        axis: {label: names.label(axis, label) for label in (str(getattr(row, axis)) for row in board.rows)}
        for axis in ("selector", "orderer", "method", "tuning")
    }


def _overall(
    board: Leaderboard, results: Sequence[CellResult], tasks: Mapping[str, Task]
) -> dict[str, Any] | None:
    """One order of all settings over the tasks, or why there is none; None with one task."""
    if len({row.task for row in board.rows if row.value is not None}) < 2:
        return None
    try:
        found = overall(results, metric=None if board.metric == "score" else board.metric, tasks=tasks)
    except DataError as error:
        return {"lacking": str(error).removeprefix("overall: ")}
    bare = [is_bare(one.cell) for one in found.settings]
    notes = [line for line in found.footer if not line.startswith(LEADS)]  # filled, in the figure
    rows = [record | {"bare": one} for record, one in zip(found.records, bare, strict=True)]
    return {"tasks": found.tasks, "rows": rows, "notes": notes}


def _cell(board: Leaderboard, result: CellResult, row: int, run: int) -> dict[str, Any]:
    right = sum(p.correct for p in result.predictions)
    count = len(result.predictions)
    share = right / count if count else None
    return {
        "id": result.cell.id,
        "row": row,
        "run": run,
        "seed": result.cell.seed,
        "complete": result.complete,
        "n": count,
        "right": right,
        "value": result.metrics.get(board.metric, share),
        "examples": f"{run}/{result.cell.task}",
    }


def _put_examples(made: Content, tables: Mapping[str, Examples], run: int) -> None:
    for task, table in tables.items():
        at = len(made.index["examples"])
        for number, block in enumerate(table.blocks()):
            made.blocks[f"e{at}_{number}"] = pack(block)
        made.blocks[f"i{at}"] = pack(table.ids)
        made.index["examples"].append(f"{run}/{task}")


def _about(folder: RunFolder) -> dict[str, Any]:
    """The manifest without what is long: the page's rows say which cells there are."""
    return {key: value for key, value in folder.manifest().items() if key not in ("cells", "overlap")}
