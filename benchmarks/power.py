"""Power as predicted against power as simulated, for right and wrong answers.

    OMP_NUM_THREADS=1 python benchmarks/power.py     # less than a minute of processor time on one core

Rows are drawn as in benchmarks/statistics.py. The variances that the prediction starts from are those of one
table of 400 seeds and 2,000 queries, so that what is compared is the formula and not the estimate of a small
table.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from scipy import stats

from icl.leaderboard.components import components
from icl.leaderboard.intervals import Floats, p_of_difference
from icl.leaderboard.power import chance
from icl.seeding import generator

BASE = 0.6


def drawn(
    rng: np.random.Generator, rates: tuple[float, float], size: tuple[int, int], spread: float
) -> Floats:
    """Paired differences [S, Q] of two rows that share their queries, not their seeds' luck."""
    seeds, queries = size
    query = rng.standard_normal((1, queries))
    rows = []
    for rate in rates:
        latent = spread * rng.standard_normal((seeds, 1)) + query + rng.standard_normal(size)
        rows.append((stats.norm.ppf(rate) * np.sqrt(2 + spread**2) + latent > 0).astype(float))
    return np.asarray(rows[0] - rows[1])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated experiments a line (default: 1000)")
    runs = parser.parse_args().runs
    print("| seeds | queries | spread | difference | predicted % | simulated % |\n|---|---|---|---|---|---|")
    for seeds, queries, (spread, points), gap in product(
        (2, 3, 5, 10), (50, 200), ((0.0, 0), (0.1, 3), (0.4, 11)), (0.1, 0.2)
    ):
        rng = generator(0, "benchmarks.power", f"{seeds} {queries} {spread} {gap}")
        rates = (BASE + gap, BASE)
        large = components(drawn(rng, rates, (400, 2000), spread))
        told = chance(gap, large, seeds, queries)
        hits = sum(p_of_difference(drawn(rng, rates, (seeds, queries), spread)) < 0.05 for _ in range(runs))
        shown = f"{100 * told:.1f} | {100 * hits / runs:.1f}"
        print(f"| {seeds} | {queries} | {points} | {100 * gap:.0f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
