"""How often the truly best row is put out of its rank group, and how many rows stand in it; truth known.

    OMP_NUM_THREADS=1 python benchmarks/standings.py     # about two minutes on one core

Rows are drawn as in benchmarks/statistics.py. Each lies `step` points below the one before it; with a step
of 0 the first stands for any of equals.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from scipy import stats

from icl.experiments.records import Cell, CellResult
from icl.leaderboard.analysis import values_of
from icl.leaderboard.layout import Group, Layout
from icl.leaderboard.measures import Floats, Judged, Measure, stand_in_task
from icl.leaderboard.standings import standings
from icl.leaderboard.statistics import Resampler
from icl.seeding import generator
from icl.types import Prediction

RATE = 0.6
QUERIES = 100
RIGHT = Prediction("q", (), "a", "a", True)
WRONG = Prediction("q", (), "b", "a", False)


def boards(rows: int, seeds: int, spread: float, step: float, runs: int) -> tuple[float, float]:
    """Share of boards without the best row in the first group; mean size of that group."""
    rng = generator(0, "benchmarks.standings", f"{rows} {seeds} {spread} {step}")
    measure = Measure({"t": Judged("accuracy", None, stand_in_task("t", []))})
    resampler = Resampler()
    out = size = 0
    for _ in range(runs):
        query = rng.standard_normal((1, QUERIES))
        rates = [RATE - step * at for at in range(rows)]
        groups = [row(i, drawn(rng, rate, seeds, spread, query)) for i, rate in enumerate(rates)]
        first = {
            key
            for key, s in standings(
                groups, values_of(groups, measure), measure, resampler, lambda _: ()
            ).items()
            if s.group == 1
        }
        out += groups[0].key not in first
        size += len(first)
    return out / runs, size / runs


def drawn(rng: np.random.Generator, rate: float, seeds: int, spread: float, query: Floats) -> Floats:
    """[S, Q] of right and wrong."""
    seed = spread * rng.standard_normal((seeds, 1))
    noise = rng.standard_normal((seeds, query.shape[1]))
    return np.asarray(stats.norm.ppf(rate) * np.sqrt(2 + spread**2) + seed + query + noise > 0)


def row(number: int, scores: Floats) -> Group:
    """A complete row of these answers."""
    cell = Cell("m", "t", f"row{number}", 4, "as_selected", "direct", 0)
    grid = tuple(tuple(RIGHT if x else WRONG for x in line) for line in scores)
    layout = Layout(tuple(range(len(grid))), tuple(map(str, range(QUERIES))), grid)
    return Group(cell.row, (CellResult(cell, (), complete=True),), (), layout)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="simulated boards a line (default: 200)")
    runs = parser.parse_args().runs
    print("| rows | seeds | spread | step | best put out % | rows in group 1 |\n|---|---|---|---|---|---|")
    for rows, seeds, (spread, points), step in product(
        (2, 6, 12), (1, 2, 3, 5), ((0.0, 0), (0.4, 11)), (0.0, 0.05)
    ):
        if seeds == 1 and spread:
            continue  # one seed knows nothing of others
        missed, size = boards(rows, seeds, spread, step if rows < 12 else step / 2, runs)
        shown = 100 * (step if rows < 12 else step / 2)
        print(f"| {rows} | {seeds} | {points} | {shown:g} | {100 * missed:.1f} | {size:.1f} |", flush=True)


if __name__ == "__main__":
    main()
