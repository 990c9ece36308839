"""Rows of icl and of its peers in one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from icl.bench.workloads import NAMES

OWN = "icl"
ITS_OWN = frozenset({"icl", "icl-python"})
"""No peers of icl."""


@dataclass(frozen=True)
class Entry:
    """One workload with one engine at one precision."""

    workload: str
    engine: str
    dtype: str
    seconds: float
    digest: str
    """Of the workload file that was run: another fraction is another file."""
    setting: str = ""
    scored: bool = True
    """Whether it gave what was asked; False: a forward only."""
    peak_memory: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


def of_peer(path: Path) -> list[Entry]:
    """Rows of a runner: lines of JSON, of which the last may be torn where it was killed."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found.append(Entry(**{k: row[k] for k in Entry.__dataclass_fields__ if k in row}))
    return found


def of_icl(path: Path, digest: str) -> list[Entry]:
    """Rows that `icl bench --json` wrote of one workload file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    versions = {k: str(data["machine"][k]) for k in ("torch", "transformers") if k in data["machine"]}
    return [
        Entry(
            row["workload"], row["engine"], row["dtype"], row["seconds"], digest, row["setting"],
            peak_memory=row["peak_memory"], versions=versions,
        )
        for row in data["rows"]
    ]  # fmt: skip


def places(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """(dtype, workload) of the lines, the six workloads of icl's own tables first."""
    known = {name: number for number, name in enumerate(NAMES)}
    found = {(e.dtype, e.workload) for e in entries}
    return sorted(found, key=lambda at: (at[0] != "float32", at[0], known.get(at[1], len(known)), at[1]))


def line(entries: Sequence[Entry]) -> dict[str, Any]:
    """Of one workload at one precision: each engine, and the best peer's seconds over icl's, of all peers and
    of those that give what was asked."""
    by_name = {e.engine: e for e in entries}
    own = by_name.get(OWN)
    peers = [e for e in entries if e.engine not in ITS_OWN]

    def ahead(of: Sequence[Entry]) -> tuple[float, str] | None:
        best = min(of, key=lambda e: e.seconds, default=None)
        return None if best is None or own is None else (best.seconds / own.seconds, best.engine)

    return {"engines": by_name, "all": ahead(peers), "scoring": ahead([e for e in peers if e.scored])}


def markdown(entries: Sequence[Entry], part: float) -> str:
    """The table, and what stands behind its figures."""
    engines = sorted({e.engine for e in entries}, key=lambda name: (name not in ITS_OWN, name))
    headers = ["workload", "precision", *engines, "best peer / icl", "of those that score"]
    lines = [headers, ["---"] * len(headers)]
    for dtype, workload in places(entries):
        found = line([e for e in entries if (e.dtype, e.workload) == (dtype, workload)])
        seconds = [_seconds(found["engines"].get(name)) for name in engines]
        lines.append([workload, dtype, *seconds, _ahead(found["all"]), _ahead(found["scoring"])])
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    what = "Seconds" if part == 1 else f"Seconds of a part of every workload ({part:.0%} of its requests)"
    notes = [f"{what}; in brackets: a forward only, without the log-probabilities asked for."]
    for name in engines:
        mine = [e for e in entries if e.engine == name]
        versions = {f"{package} {number}": None for e in mine for package, number in e.versions.items()}
        settings = dict.fromkeys(e.setting for e in mine if e.setting)
        notes.append(
            f"{name}: {', '.join(versions) or 'version unknown'}; {', '.join(settings) or 'no settings'}."
        )
    return table + "\n" + "\n".join(notes) + "\n"


def plain(entries: Sequence[Entry], about: dict[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    lines = []
    for dtype, workload in places(entries):
        found = line([e for e in entries if (e.dtype, e.workload) == (dtype, workload)])
        ratios = {k: found[k] and {"ratio": found[k][0], "engine": found[k][1]} for k in ("all", "scoring")}
        lines.append({"workload": workload, "dtype": dtype, "best_peer": ratios})
    return {"machine": about, "rows": [asdict(e) for e in entries], "lines": lines}


def _seconds(entry: Entry | None) -> str:
    if entry is None:
        return "-"
    text = f"{entry.seconds:.2f}"
    return text if entry.scored else f"({text})"


def _ahead(found: tuple[float, str] | None) -> str:
    return "-" if found is None else f"{found[0]:.2f}x, {found[1]}"
