"""Verdicts of a run: a file a cell and judge beside the cells, which themselves stay as they were.

verdicts/<judge>/<cell id>.jsonl holds a line on the judge and the lines that it judged (their digest), then
one line a prediction with its verdict and cost. It is written whole, once all are there; what a session that
was killed had asked is in the response cache.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from icl.experiments.folder.cellfile import digest_of
from icl.experiments.folder.disk import write_whole
from icl.experiments.folder.placing import CELLS
from icl.experiments.records import Cell, CellResult
from icl.judging import Verdict
from icl.types import Usage

VERDICTS = "verdicts"
DETAIL = "judge"
"""The key of a prediction's details, of a cell's notes and of its metrics that a judge fills."""


@dataclass(frozen=True, slots=True)
class JudgeEntry:
    """What the manifest says of the judge whose verdicts are shown."""

    label: str
    digest: str
    """See `file.judges.digest_of`."""
    folder: str
    name: str = ""
    fingerprint: str = ""
    """Of its model; "" before it was asked."""

    @classmethod
    def of(cls, record: Any) -> JudgeEntry | None:
        """From the manifest; None where it names none."""
        if not isinstance(record, Mapping):
            return None
        known = {name: str(record.get(name, "")) for name in cls.__dataclass_fields__}
        return cls(**known)

    @property
    def plain(self) -> dict[str, str]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class CellVerdicts:
    """The verdicts of one cell, in the order of its predictions."""

    digest: str
    cell: str
    """Digest of the cell's lines."""
    fingerprint: str
    verdicts: tuple[Verdict, ...]
    usages: tuple[Usage, ...]

    def is_of(self, entry: JudgeEntry, cell: str) -> bool:
        """Whether they are that judge's, of these lines."""
        same = entry.fingerprint in ("", self.fingerprint)
        return same and (self.digest, self.cell) == (entry.digest, cell)


class VerdictFolder:
    """verdicts/ of the run folder `run`."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def _file(self, cell: Cell, entry: JudgeEntry) -> Path:
        return self._run / VERDICTS / entry.folder / f"{cell.id}.jsonl"

    def _lines(self, cell: Cell) -> str:
        """Digest of a cell's lines. Raises OSError."""
        return digest_of((self._run / CELLS / f"{cell.id}.jsonl").read_bytes())

    def read(self, cell: Cell, entry: JudgeEntry) -> CellVerdicts | None:
        """Those of a cell by this judge; None where there are none of its lines as they are, or a file that
        cannot be read: the cell is then judged again."""
        try:
            text = self._file(cell, entry).read_text(encoding="utf-8")
            found = _parsed(text)
            return found if found.is_of(entry, self._lines(cell)) else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, cell: Cell, entry: JudgeEntry, graded: Sequence[tuple[Verdict, Usage]]) -> None:
        """Keeps them, one a line of the cell, in a file that is whole or the old one. Raises OSError."""
        head = {"judge": entry.label, "digest": entry.digest, "cell": self._lines(cell)}
        lines = [{**verdict.plain, "usage": list(astuple(usage))} for verdict, usage in graded]
        path = self._file(cell, entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [{**head, "fingerprint": entry.fingerprint}, *lines]
        write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in records))

    def judged(self, result: CellResult, entry: JudgeEntry | None) -> CellResult:
        """A complete cell with the verdicts on it, where there are some; any other as it is."""
        if entry is None or not result.complete:
            return result
        return with_verdicts(result, entry, self.read(result.cell, entry))


def _parsed(text: str) -> CellVerdicts:
    """Raises what a text that is none raises."""
    head, *lines = [json.loads(line) for line in text.split("\n") if line]
    return CellVerdicts(
        str(head["digest"]),
        str(head["cell"]),
        str(head["fingerprint"]),
        tuple(Verdict.of(line) for line in lines),
        tuple(Usage(*line["usage"]) for line in lines),
    )


def with_verdicts(result: CellResult, entry: JudgeEntry, found: CellVerdicts | None) -> CellResult:
    """The cell with a judge's verdicts in its predictions' details, and counts and cost in its notes."""
    if found is None or len(found.verdicts) != len(result.predictions):
        return result
    predictions = tuple(
        replace(p, details={**p.details, DETAIL: {"by": entry.name, **verdict.plain}})
        for p, verdict in zip(result.predictions, found.verdicts, strict=True)
    )
    cost = Usage.total(found.usages)
    note = {
        "label": entry.label,
        "fingerprint": found.fingerprint,
        "labels": dict(Counter(v.label for v in found.verdicts if v.label is not None)),
        "ungraded": sum(v.label is None for v in found.verdicts),
        "usage": list(astuple(cost)),
    }
    scores = scores_of(found.verdicts)
    metrics = {**result.metrics, DETAIL: sum(scores) / len(scores)} if scores else result.metrics
    return replace(result, predictions=predictions, notes={**result.notes, DETAIL: note}, metrics=metrics)


def scores_of(verdicts: Sequence[Verdict]) -> list[float]:
    """Of those that have one."""
    return [v.score for v in verdicts if v.score is not None]
