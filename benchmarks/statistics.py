"""What the intervals and tests of a leaderboard keep, by simulation with a known truth.

    python benchmarks/statistics.py > tables.txt      # about ten minutes on two cores
    python benchmarks/statistics.py --runs 100        # a look

A prediction is right where probit(p) * s + seed + query + noise > 0, with s chosen so that the accuracy
over all seeds and queries is exactly p. A seed's share has a standard deviation of 0, 0.1 or 0.4, which makes
seeds differ by 0, 3 or 11 points at p = .5. Rows that are compared share their queries, not their seeds'
luck: the hardest case.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy import stats

from icl.leaderboard.measures import Floats, weighted_mean
from icl.leaderboard.statistics import Resampler, holm
from icl.seeding import generator

SEEDS = (1, 2, 3, 5, 10)
QUERIES = (50, 200)
SPREADS = {0.0: "0", 0.1: "3", 0.4: "11"}
ROWS = 6
RULE = "\n|---|---|---|---|---|---|---|"


def draw(rng: np.random.Generator, rates: list[float], seeds: int, queries: int, spread: float) -> Floats:
    """[rows, S, Q] of right and wrong, one row a rate."""
    scale = np.sqrt(2 + spread**2)
    query = rng.standard_normal((1, queries))
    rows = []
    for rate in rates:
        seed = rng.standard_normal((seeds, 1)) * spread
        noise = rng.standard_normal((seeds, queries))
        rows.append(stats.norm.ppf(rate) * scale + seed + query + noise > 0)
    return np.array(rows, dtype=float)


def mean_cell(cell: tuple[float, int, int, float, int]) -> str:
    """One line of the first table."""
    rate, seeds, queries, spread, runs = cell
    rng = generator(0, "benchmarks.statistics.mean", str(cell[:4]))
    resampler = Resampler()
    hits = width = 0.0
    for _ in range(runs):
        interval = resampler.interval(weighted_mean(draw(rng, [rate], seeds, queries, spread)[0]))
        hits += rate in interval
        width += interval.high - interval.low
    return (
        f"| {rate} | {seeds} | {queries} | {SPREADS[spread]} | {100 * hits / runs:.1f} "
        f"| {100 * width / runs:.1f} |"
    )


def difference_cell(cell: tuple[tuple[float, float], int, int, float, int]) -> str:
    """One line of the second table."""
    (base, gap), seeds, queries, spread, runs = cell
    rng = generator(0, "benchmarks.statistics.difference", str(cell[:4]))
    resampler = Resampler()
    hits = width = 0.0
    for _ in range(runs):
        ours, theirs = map(weighted_mean, draw(rng, [base + gap, base], seeds, queries, spread))
        interval = resampler.difference(ours, theirs)
        hits += gap in interval
        width += interval.high - interval.low
    return (
        f"| {base} | {100 * gap:.0f} | {seeds} | {queries} | {SPREADS[spread]} "
        f"| {100 * hits / runs:.1f} | {100 * width / runs:.1f} |"
    )


def error_cell(cell: tuple[float, int, int, float, int]) -> str:
    """One line of the third table: six rows that differ from their baseline by nothing."""
    rate, seeds, queries, spread, runs = cell
    rng = generator(0, "benchmarks.statistics.errors", str(cell[:4]))
    resampler = Resampler(resamples=1000)
    any_p = any_star = raw = 0
    for _ in range(runs):
        table = draw(rng, [rate] * (ROWS + 1), seeds, queries, spread)
        base = weighted_mean(table[0])
        rows = [weighted_mean(row) for row in table[1:]]
        same = [(row == table[0]).all(axis=0).tolist() for row in table[1:]]
        ps = [resampler.test(row, base, s).p for row, s in zip(rows, same, strict=True)]
        low = [p < 0.05 for p in holm(ps)]
        seeds_too = holm([resampler.p_for_new_seeds(row, base) for row in rows])
        shown = [p and new < 0.05 for p, new in zip(low, seeds_too, strict=True)]
        raw += sum(p < 0.05 for p in ps)
        any_p += any(low)
        any_star += any(shown)
    return (
        f"| {rate} | {seeds} | {queries} | {SPREADS[spread]} | {100 * raw / runs / ROWS:.1f} "
        f"| {100 * any_p / runs:.1f} | {100 * any_star / runs:.1f} |"
    )


def lines(runs: int, workers: int) -> Iterator[str]:
    """The three tables, line by line."""
    with multiprocessing.Pool(workers) as pool:
        yield "| p | seeds | queries | spread | coverage % | width |\n|---|---|---|---|---|---|"
        yield from pool.imap(mean_cell, product((0.5, 0.8, 0.95), SEEDS, QUERIES, SPREADS, (runs,)))
        yield "\n| p | difference | seeds | queries | spread | coverage % | width |" + RULE
        pairs = ((0.5, 0.0), (0.5, 0.05), (0.8, 0.0), (0.8, 0.05), (0.95, 0.0), (0.91, 0.04))
        yield from pool.imap(difference_cell, product(pairs, SEEDS, QUERIES, SPREADS, (runs,)))
        yield "\n| p | seeds | queries | spread | p < .05 | any of 6 after Holm | any bare star |" + RULE
        yield from pool.imap(error_cell, product((0.5, 0.8), SEEDS, QUERIES, SPREADS, (max(runs // 4, 1),)))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated experiments a line (default: 1000)")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for line in lines(given.runs, given.workers):
        print(line, flush=True)


if __name__ == "__main__":
    main()
