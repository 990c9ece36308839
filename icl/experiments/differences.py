"""Two runs of one experiment: which predictions differ, and under what they were made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from icl.experiments.folder.store import RunFolder
from icl.experiments.records import Cell, CellResult
from icl.types import Prediction

TOLERANCE = 1e-3
"""Of a label probability. In fp32 a log-probability moves by up to 5e-5 with what else is asked."""
Kind = Literal["missing", "demonstrations", "answer", "probabilities"]
KINDS: tuple[Kind, ...] = ("missing", "demonstrations", "answer", "probabilities")


@dataclass(frozen=True, slots=True)
class Difference:
    """One prediction that is not what it was."""

    cell: Cell
    query: str
    kind: Kind
    """The first of KINDS that holds."""
    words: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that two runs were made under, where it is not the same. "" where one does not say."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Differences:
    """A run against another, cell by cell. `left_out`: cells that the first had not completed."""

    differences: tuple[Difference, ...]
    compared: int
    cells: int
    texts: int
    """Predictions of the same answer that was written in other words."""
    left_out: tuple[str, ...]
    conditions: tuple[Condition, ...]
    tolerance: float

    @property
    def equal(self) -> bool:
        """Whether every prediction is what it was."""
        return not self.differences

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> how many predictions."""
        return {kind: sum(d.kind == kind for d in self.differences) for kind in KINDS}

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "equal": self.equal,
            "compared": self.compared,
            "cells": self.cells,
            "tolerance": self.tolerance,
            "counts": self.counts,
            "other_texts": self.texts,
            "left_out": list(self.left_out),
            "conditions": [{"name": c.name, "before": c.before, "after": c.after} for c in self.conditions],
            "differences": [
                {"cell": d.cell.id, "query": d.query, "kind": d.kind, "words": d.words}
                for d in self.differences
            ],
        }


def differences(first: RunFolder, second: RunFolder, tolerance: float = TOLERANCE) -> Differences:
    """The complete cells of `first` against those of `second`. Raises DataError where one cannot be read."""
    ours = first.results()
    whole = [result for result in ours if result.complete]
    theirs = {result.cell: result for result in second.results()}
    found: list[Difference] = []
    texts = 0
    for result in whole:
        other = theirs.get(result.cell)
        after = {p.query_id: p for p in other.predictions} if other is not None else {}
        for before in result.predictions:
            now = after.get(before.query_id)
            difference = _difference(before, now, tolerance)
            if difference is not None:
                found.append(Difference(result.cell, before.query_id, *difference))
            elif now is not None and now.output != before.output:
                texts += 1
    return Differences(
        tuple(found),
        sum(len(result.predictions) for result in whole),
        len(whole),
        texts,
        tuple(result.cell.id for result in ours if not result.complete),
        tuple(conditions(first, second, whole, list(theirs.values()))),
        tolerance,
    )


def _difference(before: Prediction, now: Prediction | None, tolerance: float) -> tuple[Kind, str] | None:
    if now is None:
        return "missing", "not there"
    shown = [[name for name, _ in p.demonstrations] for p in (before, now)]
    lost = [[dropped.id for dropped in p.dropped] for p in (before, now)]
    if shown[0] != shown[1] or lost[0] != lost[1]:
        return "demonstrations", f"{', '.join(shown[0]) or 'none'} -> {', '.join(shown[1]) or 'none'}"
    if (before.answer, before.correct) != (now.answer, now.correct):
        answers = [p.answer if p.answer is not None else "(unparsed)" for p in (before, now)]
        judged = f", {_judged(before)} -> {_judged(now)}" if before.correct != now.correct else ""
        return "answer", f"{answers[0]} -> {answers[1]}{judged}"
    if before.label_scores != now.label_scores:
        return _moved(before.label_scores, now.label_scores, tolerance)
    return None


def _judged(prediction: Prediction) -> str:
    return "right" if prediction.correct else "wrong"


def _moved(
    before: Mapping[str, float], now: Mapping[str, float], tolerance: float
) -> tuple[Kind, str] | None:
    """The label whose probability moved most, where that is beyond the tolerance or cannot be told."""
    old, new = probabilities(before), probabilities(now)
    if old.keys() != new.keys():
        return "probabilities", f"of {', '.join(old) or 'no label'} -> of {', '.join(new) or 'no label'}"
    by = {label: abs(old[label] - new[label]) for label in old}
    worst = max(by, key=lambda label: math.inf if math.isnan(by[label]) else by[label])
    if by[worst] <= tolerance:
        return None
    return "probabilities", f"{worst}: {old[worst]:.4f} -> {new[worst]:.4f}"


def probabilities(scores: Mapping[str, float]) -> dict[str, float]:
    """Label scores, which are logarithms, as shares of one; NaN where none of them is a finite number."""
    finite = [score for score in scores.values() if math.isfinite(score)]
    if not finite or any(math.isnan(s) or s == math.inf for s in scores.values()):
        return dict.fromkeys(scores, math.nan)
    top = max(finite)
    weights = {label: math.exp(score - top) for label, score in scores.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def conditions(
    first: RunFolder, second: RunFolder, ours: Sequence[CellResult], theirs: Sequence[CellResult]
) -> Iterator[Condition]:
    """Versions, hardware and fingerprints that are not the same."""
    pairs = [
        *zip(_environments(first, ours), _environments(second, theirs), strict=True),
        (_fingerprints(first), _fingerprints(second)),
    ]
    for before, after in pairs:
        for name in dict.fromkeys([*before, *after]):
            old, new = before.get(name, ""), after.get(name, "")
            if old != new:
                yield Condition(name, old, new)


def _environments(folder: RunFolder, results: Sequence[CellResult]) -> tuple[dict[str, str], dict[str, str]]:
    """Versions and hardware of the cells; several with "and", as a run that went on elsewhere has them."""
    known = folder.environments()
    met = [known[k] for k in dict.fromkeys(k for r in results for k in r.environments) if k in known]
    both: list[dict[str, str]] = []
    for part in ("versions", "hardware"):
        values: dict[str, dict[str, None]] = {}
        for environment in met:
            for name, value in (environment.get(part) or {}).items():
                values.setdefault(name, {})[_text(value)] = None
        both.append({name: " and ".join(texts) for name, texts in values.items()})
    return both[0], both[1]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fingerprints(folder: RunFolder) -> dict[str, str]:
    manifest = folder.manifest()
    encoder = {"encoder": entry} if (entry := manifest.get("encoder")) else {}
    entries = {
        **{f"model {name}": entry for name, entry in folder.models().items()},
        **{f"tuning {name}": entry for name, entry in manifest.get("tunings", {}).items()},
        **encoder,
    }
    found = {f"{name}, fingerprint": str(entry.get("fingerprint", "")) for name, entry in entries.items()}
    return found | {
        f"data of {task}, fingerprint": print_ for task, print_ in manifest.get("data", {}).items()
    }
