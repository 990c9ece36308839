"""Workload files, the clock and the rows, for environments that do not have icl.

A runner is started with MODEL WORKLOADS DTYPE OUT and runs every workload file of the folder; each row goes
to the end of OUT, a line of JSON, as soon as it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def workloads(folder: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(file, contents) of every workload."""
    for path in sorted(Path(folder).glob("*.json")):
        yield path, json.loads(path.read_text(encoding="utf-8"))


def digest(path: Path) -> str:
    """Of a file's contents: what says that a row is of this very workload."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def tokens_flat(data: dict[str, Any]) -> int:
    """Tokens that a plain engine forwards."""
    if data["kind"] == "score":
        return sum(len(i["ctx"]) + len(c) - 1 for i in data["items"] for c in i["conts"])
    return sum(data["n"] * (len(p) + data["new"] - 1) for p in data["prompts"])


def timed(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep(out: str, path: Path, seconds: float, data: dict[str, Any], **about: Any) -> None:
    """Appends a row. about: engine, dtype, setting, scored (whether it gave what was asked, not a forward
    only), versions. Peak memory is this process's and its largest child's."""
    peak = sum(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row = {
        "workload": path.stem, "digest": digest(path), "seconds": round(seconds, 3),
        "tokens_flat": tokens_flat(data), "peak_memory": peak * 1024, "cores": cores(), **about,
    }  # fmt: skip
    with open(out, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
