"""What an executor costs: two workers of one thread against one process of two; the driver.

    ICL_DATA=DATA python benchmarks/executors.py grid experiments/quickstart.yaml --rounds 3
    python benchmarks/executors.py driver --predictions 1000000

`grid` runs an experiment in both ways by turns, each in a fresh folder and a process of its own, so that what
else the machine does falls on both. `driver` asks the fake model in two workers: all but the model counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.run_folders import write_task

GRID = {
    "selector": ["random", {"random": {"per_query": False}}],
    "shots": [1, 2, 3, 4, 5],
    "orderer": ["as_selected", "random"],
    "method": ["direct"],
}
ROWS = 20
SEEDS = 10
THREADS = 2


class Watch:
    """What the driver spends in calls of the pool, apart from what it does with an answer."""

    def __init__(self) -> None:
        self.calls = self.passed_on = self.own = 0.0

    def around(self, ask: Any) -> Any:
        """PooledModel._ask, timed: by the clock, and in processor time of this process."""

        def timed(model: Any, kind: str, requests: Any, on_result: Any) -> Any:
            spent = [0.0]

            def passed(index: int, answer: Any) -> None:
                began = time.thread_time()
                on_result(index, answer)
                spent[0] += time.thread_time() - began

            clock, processor = time.perf_counter(), time.thread_time()
            try:
                return ask(model, kind, requests, None if on_result is None else passed)
            finally:
                self.calls += time.perf_counter() - clock
                self.own += time.thread_time() - processor - spent[0]
                self.passed_on += spent[0]

        return timed


def run(file: Path, output: Path, executor: str | None) -> dict[str, Any]:
    """One run in this process."""
    import icl
    from icl.executors.pool import PooledModel
    from icl.experiments.file.overrides import Override
    from icl.experiments.running.progress import Meter

    watch, meter = Watch(), Meter()
    PooledModel._ask = watch.around(PooledModel._ask)  # type: ignore[method-assign]
    began = time.perf_counter()
    given = None if executor is None else {executor: {"workers": 2}}
    override = Override(("executor",), given, "--executor")
    found = icl.run(file, output=output, overrides=[override], meter=meter)
    whole = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "executor": executor,
        "seconds": whole,
        "asking": time.monotonic() - (meter.asked or 0.0) if meter.asked else 0.0,
        "predictions": meter.done,
        "requests": meter.computed.requests,
        "tokens_unique": meter.computed.tokens_unique,
        "driver_peak_mib": peak,
        "calls": watch.calls,
        "driver_own": watch.own,
        "driver_with_answers": watch.passed_on,
        "workers": found.folder.manifest().get("workers"),
        "answers": [p.answer for r in found.results for p in r.predictions] if meter.done < 10_000 else [],
    }


def child(file: Path, output: Path, executor: str | None) -> dict[str, Any]:
    """`run` in a process of its own, with all the threads there are."""
    command = [sys.executable, "-m", "benchmarks.executors", "run", str(file), str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    done = subprocess.run(
        [*command, *([executor] if executor else [])],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def grid(file: Path, rounds: int, executor: str) -> dict[str, Any]:
    """Both ways by turns."""
    pairs = []
    for at in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            ways = [None, executor] if at % 2 == 0 else [executor, None]
            found = {way: child(file, Path(folder) / str(way), way) for way in ways}
        one, two = found[None], found[executor]
        if one["answers"] != two["answers"]:
            raise SystemExit("the predictions differ")
        repeated = two["workers"]["tokens_repeated"] / max(two["workers"]["tokens_once"], 1)
        pairs.append(
            {
                "asking": one["asking"] / two["asking"],
                "whole": one["seconds"] / two["seconds"],
                "forwarded": two["tokens_unique"] / max(one["tokens_unique"], 1) - 1,
                "repeated_by_the_cut": repeated,
                "driver_own": two["driver_own"] / two["calls"],
            }
        )
        print(json.dumps(pairs[-1]), flush=True)
    return {"file": file.name, "pairs": pairs, **{k: median(p[k] for p in pairs) for k in pairs[0]}}


def driver(predictions: int, executor: str | None) -> dict[str, Any]:
    """A grid of so many predictions on the fake model."""
    with tempfile.TemporaryDirectory() as folder:
        queries = predictions // (ROWS * SEEDS)
        write_task(Path(folder), queries)
        plain = {
            "name": "driver", "model": "fake", "task": "task.yaml", "pool": 200, "test": queries,
            "seeds": list(range(SEEDS)), "encoder": "hashed",
            "grid": GRID,
        }  # fmt: skip
        file = Path(folder) / "experiment.yaml"
        file.write_text(yaml.safe_dump(plain), encoding="utf-8")
        found = child(file, Path(folder) / "runs", executor)
    del found["answers"]
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--executor", default="processes")
    ways = parser.add_subparsers(dest="way", required=True)
    both = ways.add_parser("grid")
    both.add_argument("file", type=Path)
    both.add_argument("--rounds", type=int, default=3)
    many = ways.add_parser("driver")
    many.add_argument("--predictions", type=int, default=1_000_000)
    one = ways.add_parser("run")
    one.add_argument("file", type=Path)
    one.add_argument("output", type=Path)
    one.add_argument("by", nargs="?")
    given = parser.parse_args()
    if given.way == "run":
        found = run(given.file, given.output, given.by)
    elif given.way == "grid":
        found = grid(given.file, given.rounds, given.executor)
    else:
        found = driver(given.predictions, None if given.executor == "none" else given.executor)
    text = json.dumps(found)
    print(text, flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
