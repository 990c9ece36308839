"""What run folders cost: a run with many queries, and tables over many predictions.

    python benchmarks/run_folders.py --json benchmarks/results/run_folders.json

The fake model answers, so what is measured is all that is around a model: choosing, rendering, asking,
caching, judging, writing, and reading again. Each step is a process of its own, and so is its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from icl.api import Run
from icl.experiments.records import CellResult
from icl.seeding import generator
from icl.types import Example

QUERIES = (5_000, 20_000)
PREDICTIONS = 200_000
POOL = 1_000
WORDS = ("river", "copper", "window", "seven", "quiet", "orange", "paper", "winter", "engine", "salt")


def write_task(folder: Path, queries: int) -> None:
    """Texts of ten words and a number, two labels."""
    for name, count in (("pool", POOL), ("queries", queries)):
        rng = generator(0, "benchmarks.run_folders", name)
        words = rng.integers(0, len(WORDS), size=(count, 10))
        rows = (
            {"text": f"{' '.join(WORDS[w] for w in line)} {name} {i}", "label": ("good", "bad")[i % 2]}
            for i, line in enumerate(words)
        )
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {
        "name": "made",
        "kind": "classification",
        "inputs": ["text"],
        "labels": ["good", "bad"],
        "template": {"query": "Text: {{ text }}\nLabel:"},
        "source": {"files": {"train": "pool.jsonl", "test": "queries.jsonl"}},
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


def write_experiment(folder: Path, name: str, **changes: Any) -> Path:
    """One selector, four shots."""
    plain: dict[str, Any] = {
        "name": name,
        "model": "fake",
        "task": "task.yaml",
        "pool": POOL,
        "test": "all",
        "encoder": "hashed",
        "grid": {"selector": ["random"], "shots": [4]},
        "leaderboard": {"compare_to": "random"},
    }
    plain |= changes
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def measured(folder: Path, *command: str) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peak GiB, of one icl command."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "icl", *command], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"icl {' '.join(command)} ended with status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
    }


def size(*paths: Path) -> float:
    """MiB."""
    return round(sum(path.stat().st_size for path in paths) / 2**20, 1)


def runs(folder: Path, queries: int) -> dict[str, Any]:
    """A run over so many queries (two cells: zero-shot and random), and one that finds all done."""
    write_task(folder, queries)
    path = write_experiment(folder, f"q{queries}")
    out: dict[str, Any] = {"queries": queries, "cells": 2, "run": measured(folder, "run", path.name, "-q")}
    out["run_again"] = measured(folder, "run", path.name, "-q")
    place = folder / "runs" / f"q{queries}"
    out["log_mib"] = size(*(place / "cells").glob("*.jsonl"))
    out["texts_mib"] = size(*(place / "tasks").iterdir())
    out["cache_mib"] = size(*(folder / "runs" / ".cache").glob("responses.sqlite*"))
    return out


def tables(folder: Path, queries: int) -> dict[str, Any]:
    """Leaderboard and one prompt of a folder with 200,000 predictions: a real run of two queries, its
    first prediction written again for every query with an answer that is drawn."""
    seeds = list(range(PREDICTIONS // queries // 2))
    path = write_experiment(folder, "many", seeds=seeds, test=2)
    measured(folder, "run", path.name, "-q")
    place = folder / "runs" / "many"
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    manifest["queries"]["made"] = queries
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    run = Run(place)
    task = run.tasks()["made"]
    asked = [
        Example(f"test-{i}", {"text": f"{WORDS[i % 10]} {i}"}, task.labels[i % 2]) for i in range(queries)
    ]
    run.folder.texts(task).add(asked)
    for cell in run.folder.cells():
        model = run.folder.result(cell).predictions[0]
        right = generator(cell.seed, "benchmarks.run_folders", cell.selector).random(queries) < 0.6
        predictions = tuple(
            replace(model, query_id=e.id, gold=e.target, answer=e.target if r else None, correct=bool(r))
            for e, r in zip(asked, right, strict=True)
        )
        run.folder.writer(cell, queries).finish(CellResult(cell, predictions))
    print("written", flush=True)
    return {
        "predictions": 2 * len(seeds) * queries,
        "leaderboard": measured(folder, "leaderboard", "runs/many"),
        "show": measured(folder, "show", "runs/many", "--query", asked[-1].id),
        "log_mib": size(*(place / "cells").glob("*.jsonl")),
        "texts_mib": size(*(place / "tasks").iterdir()),
    }


def main() -> None:
    """Prints the figures as they come. `--queries` without numbers leaves the runs out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--queries", type=int, nargs="*", default=QUERIES)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"runs": []}
    with tempfile.TemporaryDirectory() as name:
        write_task(Path(name), 100)
        for queries in arguments.queries:
            found["runs"].append(runs(Path(name), queries))
            print(json.dumps(found["runs"][-1]), flush=True)
        found["tables"] = tables(Path(name), QUERIES[-1])
        print(json.dumps(found["tables"]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
