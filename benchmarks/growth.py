"""How the cost grows: queries x1 x2 x4 x8, shots 1..32, samples 1..64.

    python benchmarks/growth.py --json benchmarks/results/growth.json --plot benchmarks/results/growth.png

Random ids of realistic lengths: an instruction of 20 tokens, demonstrations of 50, queries of 30, two
labels of one token; for samples, prompts of 8 demonstrations and 32 new tokens. Beside the seconds stand
the flat and unique tokens, so that what grows with neither shows.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from icl.bench.run import Bench, machine
from icl.bench.settings import Settings
from icl.bench.workloads import Workload
from icl.seeding import generator
from icl.types import GenerateRequest, ScoreRequest, TokenIds

INSTRUCTION, DEMONSTRATION, QUERY, NEW = 20, 50, 30, 32
LABELS = ((11,), (12,))
QUERIES = (16, 32, 64, 128)
SHOTS = (1, 2, 4, 8, 16, 32)
SAMPLES = (1, 2, 4, 8, 16, 32, 64)
FIXED_QUERIES, FIXED_SHOTS = 32, 8


def ids(item: str, count: int) -> TokenIds:
    """Ids that depend on nothing but their name."""
    drawn = generator(0, "benchmarks.growth", item).integers(100, 40_000, size=count)
    return tuple(int(i) for i in drawn)


def prompt(query: int, shots: int) -> TokenIds:
    """Instruction, fixed demonstrations, query."""
    parts = [ids("instruction", INSTRUCTION)]
    parts += [ids(f"demonstration-{i}", DEMONSTRATION) for i in range(shots)]
    return tuple(i for part in (*parts, ids(f"query-{query}", QUERY)) for i in part)


def scoring(name: str, queries: int, shots: int) -> Workload:
    """Classification of `queries` texts with `shots` fixed demonstrations."""
    return Workload(
        name, "score", scores=tuple(ScoreRequest(prompt(q, shots), LABELS) for q in range(queries))
    )


def sampling(name: str, samples: int) -> Workload:
    """One question, `samples` chains."""
    request = GenerateRequest(prompt(0, FIXED_SHOTS), samples, NEW, 0.7, ignore_eos=True)
    return Workload(name, "gen", generations=(request,))


SERIES: dict[str, tuple[tuple[int, ...], Callable[[str, int], Workload]]] = {
    "queries": (QUERIES, lambda name, n: scoring(name, n, FIXED_SHOTS)),
    "shots": (SHOTS, lambda name, n: scoring(name, FIXED_QUERIES, n)),
    "samples": (SAMPLES, sampling),
}


def workloads(largest: int) -> Iterator[tuple[str, int, Workload]]:
    """(series, size, workload) of every point up to `largest`."""
    for series, (sizes, make) in SERIES.items():
        for size in sizes:
            if size <= largest:
                yield series, size, make(f"{series}-{size}", size)


def plot(points: list[dict[str, Any]], path: Path) -> None:
    """One panel a series: seconds of each engine over its size, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SERIES), figsize=(12, 3.6), layout="constrained")
    for panel, series in zip(panels, SERIES, strict=True):
        own = [p for p in points if p["series"] == series]
        for engine in dict.fromkeys(p["engine"] for p in own):
            line = [(p["size"], p["seconds"]) for p in own if p["engine"] == engine]
            panel.plot(*zip(*line, strict=True), marker="o", label=engine)
        panel.set(xlabel=series, ylabel="seconds", xscale="log", yscale="log")
        sizes = sorted({p["size"] for p in own})
        panel.set_xticks(sizes, [str(s) for s in sizes])
        panel.grid(alpha=0.3)
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default=Settings().model)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--engines", default="icl", help="with commas between; peers run everything")
    parser.add_argument("--largest", type=int, default=128, help="leave larger points out")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--plot", type=Path, default=None)
    given = parser.parse_args()
    engines = tuple(given.engines.split(","))
    bench = Bench(Settings(given.model, given.dtype, engines, fraction=1.0))
    about = machine(bench)
    where = {w.name: (series, size) for series, size, w in workloads(given.largest)}
    rows = bench.run(
        [w for _, _, w in workloads(given.largest)], lambda row: print(row, flush=True), compare_scores=False
    )
    points = [
        {
            "series": where[row.workload][0], "size": where[row.workload][1], "engine": row.engine,
            "seconds": row.seconds, "tokens_flat": row.tokens_flat, "tokens_unique": row.tokens_unique,
            "eta": row.eta, "eta_packed": row.eta_packed, "peak_memory": row.peak_memory,
        }
        for row in rows
    ]  # fmt: skip
    figures = {"machine": about, "load_after": round(os.getloadavg()[0], 2), "points": points}
    text = json.dumps(figures, indent=1)
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    if given.plot is not None:
        plot(points, given.plot)


if __name__ == "__main__":
    main()
