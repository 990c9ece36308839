"""Whether Bradley-Terry finds planted strengths, and whether its intervals hold them.

    OMP_NUM_THREADS=1 python benchmarks/overall.py     # about a minute of processor time on one core

Five settings are right with log-odds strength - difficulty + the luck of their seed. Difficulties have a
standard deviation of 1.5, around another mean for each task. `luck`: standard deviation in log-odds.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np

from icl.experiments.records import Cell, CellResult
from icl.leaderboard.analysis import values_of
from icl.leaderboard.layout import Group, Layout
from icl.leaderboard.measures import Floats, Judged, Measure, stand_in_task
from icl.leaderboard.overall import strengths
from icl.seeding import generator
from icl.types import Prediction

STRENGTHS = {"a": 0.8, "b": 0.3, "c": 0.0, "d": -0.2, "e": -0.9}
SHIFTS = (-2.0, 0.0, 2.0, -1.0, 1.0)
QUERIES = 60
RIGHT = Prediction("q", (), "a", "a", True)
WRONG = Prediction("q", (), "b", "a", False)


def row(name: str, task: str, scores: Floats) -> Group:
    """A complete row of these answers [S, Q]."""
    cell = Cell("m", task, name, 4, "as_selected", "direct", 0)
    grid = tuple(tuple(RIGHT if x else WRONG for x in line) for line in scores)
    layout = Layout(tuple(range(len(grid))), tuple(map(str, range(QUERIES))), grid)
    return Group(cell.row, (CellResult(cell, (), complete=True),), (), layout)


def board(rng: np.random.Generator, tasks: int, seeds: int, luck: float) -> list[Group]:
    """Rows of every setting on every task."""
    groups = []
    for task in range(tasks):
        hard = SHIFTS[task] + 1.5 * rng.standard_normal((1, QUERIES))
        for name, strength in STRENGTHS.items():
            odds = strength - hard + luck * rng.standard_normal((seeds, 1))
            groups.append(row(name, f"t{task}", rng.random((seeds, QUERIES)) < 1 / (1 + np.exp(-odds))))
    return groups


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="simulated boards a line (default: 100)")
    runs = parser.parse_args().runs
    print(
        "| tasks | seeds | luck | largest mean error | coverage % | width | best put out % |\n"
        + "|---" * 7
        + "|"
    )
    for tasks, seeds, luck in product((1, 3, 5), (1, 3, 5), (0.0, 0.4)):
        if seeds == 1 and luck:
            continue  # one seed knows nothing of others
        rng = generator(0, "benchmarks.overall", f"{tasks} {seeds} {luck}")
        errors, held, width, out = dict.fromkeys(STRENGTHS, 0.0), 0, 0.0, 0
        for _ in range(runs):
            groups = board(rng, tasks, seeds, luck)
            judged = {g.cell.task: Judged("accuracy", None, stand_in_task("t", [])) for g in groups}
            for one in strengths(groups, values_of(groups, Measure(judged))):
                true = STRENGTHS[one.cell.selector]
                errors[one.cell.selector] += (one.strength.value - true) / runs
                held += true in one.strength
                width += one.strength.high - one.strength.low
                out += one.cell.selector == "a" and not one.leads
        count = runs * len(STRENGTHS)
        bias = max(map(abs, errors.values()))
        shown = f"{bias:.2f} | {100 * held / count:.1f} | {width / count:.2f} | {100 * out / runs:.1f}"
        print(f"| {tasks} | {seeds} | {luck:g} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
