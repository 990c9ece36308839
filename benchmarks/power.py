"""Power as predicted against power as simulated, for right and wrong answers.

    OMP_NUM_THREADS=1 python benchmarks/power.py     # about two minutes of processor time on one core

Rows are drawn as in benchmarks/statistics.py. The variances that the prediction starts from are those of one
table of 4,000 seeds and 2,000 queries, so that what is compared is the formula and not the estimate of a
small table. A line is simulated until the standard error of its share is --error of that share, so that a
power of 6 % is as sharp as one of 60.
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
LEAST = 500
"""Simulated experiments of any line."""


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
    parser.add_argument("--error", type=float, default=0.03, help="of a share, relative (default: 0.03)")
    parser.add_argument(
        "--most", type=int, default=8_000, help="simulated experiments a line (default: 8000)"
    )
    options = parser.parse_args()
    print(
        "| seeds | queries | spread | difference | predicted % | simulated % | ratio |"
        + "\n"
        + "|---" * 7
        + "|"
    )
    for seeds, queries, (spread, points), gap in product(
        (2, 3, 5, 10), (50, 200), ((0.0, 0), (0.1, 3), (0.4, 11)), (0.1, 0.2)
    ):
        rng = generator(0, "benchmarks.power", f"{seeds} {queries} {spread} {gap}")
        rates = (BASE + gap, BASE)
        large = components(drawn(rng, rates, (4000, 2000), spread))
        told, hits, runs = chance(gap, large, seeds, queries), 0, 0
        while runs < LEAST or (runs < options.most and error(hits, runs) > options.error):
            hits += p_of_difference(drawn(rng, rates, (seeds, queries), spread)) < 0.05
            runs += 1
        share = hits / runs
        shown = f"{100 * told:.1f} | {100 * share:.1f} | {told / share:.2f}"
        print(f"| {seeds} | {queries} | {points} | {100 * gap:.0f} | {shown} |", flush=True)


def error(hits: int, runs: int) -> float:
    """Standard error of the share of hits, relative to it."""
    return float(np.sqrt((1 - hits / runs) / hits)) if hits else float("inf")


if __name__ == "__main__":
    main()
