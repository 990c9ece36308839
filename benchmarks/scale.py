"""The tables of docs/scale.md: 10^4, 10^6 and 10^8 requests on 1, 8, 64 and 512 workers. No model is read.

OMP_NUM_THREADS=1 python -m benchmarks.scale
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from icl.executors.shapes import GridShape
from icl.executors.simulate import Machines, Simulation, simulate

REQUESTS = (10**4, 10**6, 10**8)
WORKERS = (1, 8, 64, 512)
WINDOW = 20_000
"""Requests that a run asks at once (`Window` in icl/experiments/asking/conversations.py)."""
GRID = GridShape(queries=1, cells=20, seeds=5, shots=8)
CHAINS = replace(GRID, demonstrations="fixed", demonstration=150, labels=0, samples=5, written=128)
SHAPES = {
    "fixed demonstrations, labels": replace(GRID, demonstrations="fixed"),
    "demonstrations of each query, labels": GRID,
    "fixed demonstrations, five chains": CHAINS,
}
CORE = Machines(read=400, write=60, weights=10)
CARD = Machines(read=20_000, write=2_000, weights=60)
TABLES = {
    "Everything at once, one core a worker": (CORE, None),
    f"Windows of {WINDOW:,}, one core a worker": (CORE, WINDOW),
    f"Windows of {WINDOW:,}, one card a worker": (CARD, WINDOW),
}
TIMES = (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
COUNTS = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
HEADER = "| shape | requests | " + " | ".join(f"{n} workers" if n > 1 else "1 worker" for n in WORKERS) + " |"


def of(shape: GridShape, requests: int) -> GridShape:
    """The same shape with so many requests."""
    return replace(shape, queries=requests // (shape.cells * shape.seeds))


def cell(found: Simulation) -> str:
    """Tokens forwarded, repetition, makespan, what bounds it."""
    time = in_units(found.makespan, TIMES, " ")
    return f"{in_units(found.tokens_forwarded, COUNTS)}, {found.repeated_share:.1%}, {time}, {found.bound}"


def in_units(value: float, units: Sequence[tuple[str, float]], space: str = "") -> str:
    """In the largest unit that it holds once, to about two digits."""
    unit, size = next((unit for unit in units if value >= unit[1]), units[-1])
    return f"{value / size:,.{1 if value < 9.95 * size else 0}f}{space}{unit}"


def row(name: str, shape: GridShape, requests: int, machines: Machines, window: int | None) -> str:
    """A line of a table."""
    found = [simulate(of(shape, requests), n, machines, window=window) for n in WORKERS]
    exponent = len(str(requests)) - 1
    return f"| {name} | 10^{exponent} | " + " | ".join(map(cell, found)) + " |"


def tables() -> Iterator[str]:
    """Line by line, as they stand in docs/scale.md."""
    for title, (machines, window) in TABLES.items():
        yield from (f"**{title}**", "", HEADER, "|---" * (2 + len(WORKERS)) + "|")
        for name, shape in SHAPES.items():
            for requests in REQUESTS:
                yield row(name, shape, requests, machines, window)
        yield ""


if __name__ == "__main__":
    print("\n".join(tables()))
