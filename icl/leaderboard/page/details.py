"""What the page shows of one row beyond its line: confusions, reliability, the reading of answers, chains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from icl.errors import DataError
from icl.experiments.records import CellResult
from icl.leaderboard.chains import chain_rows
from icl.leaderboard.extraction import Extraction
from icl.leaderboard.reliability import reliability
from icl.leaderboard.table import Leaderboard
from icl.types import Prediction, Task


def details_of(
    board: Leaderboard, results: Sequence[CellResult], tasks: Mapping[str, Task]
) -> dict[str, Any]:
    """JSON-able; of the complete cells, like the row's own numbers, or of all where none is complete."""
    counted = [r for r in results if r.complete] or list(results)
    predictions = [p for r in counted for p in r.predictions]
    return {
        "confusion": confusion(predictions),
        "calibration": calibration(predictions),
        "reading": reading(predictions),
        "chains": _chains(counted, tasks, board.resamples),
    }


def confusion(predictions: Sequence[Prediction]) -> list[list[Any]]:
    """[gold, answer (None: none was read), count], most frequent gold and answer pairs of labelled tasks."""
    if not any(p.label_scores for p in predictions) and len({p.gold for p in predictions}) > LABELS:
        return []
    counts = Counter((p.gold, p.answer) for p in predictions)
    return [[gold, answer, count] for (gold, answer), count in counts.items()]


LABELS = 12
"""Different golds up to which outputs that were read are shown as confusions too."""


def calibration(predictions: Sequence[Prediction]) -> dict[str, Any] | None:
    """As `icl.leaderboard.reliability` has it: bins that hold any as [confidence, share right, predictions],
    the expected calibration error, and [label, share of answers, share of golds]; None without labels."""
    found = reliability(predictions)
    if not found.gold:
        return None
    return {
        "bins": [[one.confidence, one.accuracy, one.count] for one in found.bins if one.count],
        "ece": found.ece,
        "bias": found.bias,
        "labels": [[name, found.predicted.get(name, 0.0), found.gold.get(name, 0.0)] for name in found.gaps],
    }


def reading(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """How answers were read out of texts, and how often each flag was set."""
    found = Extraction.of(predictions)
    flags = Counter(flag for p in predictions for flag in p.flags)
    return {
        "predictions": len(predictions),
        "read": found.read,
        "unparsed": found.unparsed,
        "abstained": found.abstained,
        "cut": found.cut,
        "differ": found.differ,
        "tied": found.tied,
        "flags": dict(flags.most_common()),
    }


def _chains(
    results: Sequence[CellResult], tasks: Mapping[str, Task], resamples: int
) -> dict[str, Any] | None:
    """maj@k and pass@k with their intervals; None where rows hold no chains."""
    if not any(len(p.details.get("chains") or ()) > 1 for r in results for p in r.predictions):
        return None
    try:
        (row,) = chain_rows(results, tasks, resamples=resamples)
    except DataError:  # a row that is not complete, or a query with one chain
        return None
    return {
        "n": list(row.ns),
        "most": row.most,
        "adaptive": row.adaptive,
        "rules": {rule: [[p.value, p.low, p.high] for p in points] for rule, points in row.points.items()},
    }
