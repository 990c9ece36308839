"""What a run folder holds, as objects: the cells of the grid and their results.

runs/<name>/
    experiment.yaml     the resolved experiment
    manifest.json       versions, model and data fingerprints, hardware, leak report
    cells/<id>.jsonl    one Prediction a line, appended
    cells/<id>.json     the cell itself, its selection cost and, once complete, its metrics and a digest
    tunings/<id>/       what was trained: the state, and what it cost
    tasks/<name>.json   the task's definition
    tasks/<name>.jsonl  the texts that were shown, once each
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from icl.types import NO_USAGE, Prediction, Usage

UNTUNED = "none"
"""The tuning of the model as it is."""
RowKey: TypeAlias = tuple[str, str, str, int, str, str, str]
"""Model, task, selector, shots, orderer, method, tuning."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid. Components are named by their label, e.g. "mmr(lambda=0.5)"."""

    model: str
    task: str
    selector: str
    shots: int
    orderer: str
    method: str
    seed: int
    tuning: str = UNTUNED

    @classmethod
    def of(cls, record: Any) -> Cell:
        """From plain data. TypeError or ValueError where these are no cell."""
        cell = cls(**record)
        numbers = (cell.shots, cell.seed)
        texts = (cell.model, cell.task, cell.selector, cell.orderer, cell.method, cell.tuning)
        if not all(type(n) is int for n in numbers) or not all(isinstance(t, str) for t in texts):
            raise ValueError(f"no cell: {record!r}")
        return cell

    @property
    def row(self) -> RowKey:
        """Everything but the seed: cells of one row are averaged on the leaderboard."""
        return (self.model, self.task, self.selector, self.shots, self.orderer, self.method, self.tuning)

    @property
    def setting(self) -> str:
        """The row in words, without model and task."""
        words = f"{self.selector} {self.shots}-shot {self.orderer} {self.method}"
        return words if self.tuning == UNTUNED else f"{words} tuning {self.tuning}"

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON. Without a tuning as it was before there were any, so that ids and summaries stay."""
        record = asdict(self)
        if self.tuning == UNTUNED:
            del record["tuning"]
        return record

    @property
    def id(self) -> str:
        """A file name that a person can read and that no two cells share."""
        parts = [self.task, self.selector, str(self.shots), self.orderer, self.method, f"s{self.seed}"]
        if self.tuning != UNTUNED:
            parts.insert(1, self.tuning)
        return slug_of(parts, self.plain)


def slug_of(parts: Sequence[str], record: Mapping[str, Any]) -> str:
    """A name for files: what a person can read of `parts`, and a digest of `record`."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "_", "-".join(parts))[:80].strip("_-")
    digest = hashlib.blake2b(json.dumps(record).encode(), digest_size=4).hexdigest()
    return f"{slug}-{digest}"


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell with what has been computed of it."""

    cell: Cell
    predictions: tuple[Prediction, ...]
    """In the order of the test set."""
    selection_usage: Usage = NO_USAGE
    """What choosing and ordering the demonstrations (and fitting the method) asked of the model."""
    selection_seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metric name -> value over the whole cell; empty while it is incomplete."""
    complete: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)
    environments: tuple[str, ...] = ()
    """Keys of the environments (versions and hardware) in which its lines were written; () where it does not
    say."""
    damage: str = ""
    """Why a cell that was complete no longer counts as such: file and reason."""
    unread: str = ""
    """What of its lines is not among the predictions, and why: file and reason."""

    @property
    def usage(self) -> Usage:
        """Inference cost, summed over predictions; selection not included."""
        return Usage.total(p.usage for p in self.predictions)
