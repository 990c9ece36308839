"""Whether selectors that learn from the model find a planted rule: ceil, epr and rl, five seeds each.

    OMP_NUM_THREADS=1 python -m benchmarks.planted > benchmarks/planted.md

Beside each: its own start (the same without training), and the best of as many random sets as its requests
pay for. Figures are shares of the demonstrations that follow the rule (tests/selectors/planted.py).
"""

from __future__ import annotations

import numpy as np

from icl.protocols import Selector
from icl.selectors.best_of_n import BestOfN
from icl.selectors.ceil import CEIL
from icl.selectors.dpp import DPP
from icl.selectors.epr import EPR, SIDES
from icl.selectors.knn import KNN
from icl.selectors.random import Random
from icl.selectors.rl import RL
from tests.selectors.planted import World, doubting, styled

SEEDS = range(5)
GAMES = {"episodes": 60, "reward_set": 15, "validation": 15, "steps": 400, "sync": 20, "stop": False}


def share(world: World, selector: Selector, k: int) -> float:
    return world.share(selector.fit(world.pool, world.resources), k)


def row(name: str, trained: Selector, start: Selector, world: World, k: int) -> dict[str, float]:
    """One seed: what is learned, what it starts from, and random sets at its cost."""
    before = len(world.model.requests)
    found = share(world, trained, k)
    asked = len(world.model.requests) - before
    validation = 15  # as many as rl validates on
    return {
        name: found,
        "start": share(world, start, k),
        "best of n": share(world, BestOfN(requests=asked, validation=validation), k),
        "random": share(world, Random(), k),
        "requests": asked,
    }


def table(name: str, rows: list[dict[str, float]]) -> None:
    print(f"\n| {name} | " + " | ".join(f"seed {seed}" for seed in SEEDS) + " | mean |")
    print("|---" * (len(SEEDS) + 2) + "|")
    for column in rows[0]:
        values = [found[column] for found in rows]
        shown = [f"{value:.0f}" if column == "requests" else f"{value:.2f}" for value in values]
        mean = f"{np.mean(values):.0f}" if column == "requests" else f"{np.mean(values):.2f}"
        print(f"| {column} | " + " | ".join(shown) + f" | {mean} |")


def main() -> None:
    print("# Selectors that learn, on planted rules\n")
    print(
        "`OMP_NUM_THREADS=1 python -m benchmarks.planted`: share of the demonstrations that follow the rule."
    )
    print("start: the same selector untrained (ceil: dpp; epr: knn; rl: a learning rate of 0). best of n:")
    print("as many random sets as the trained selector's requests pay for.\n")
    print("ceil, epr: one of two styles, 8 shots, pool of 200, 60 queries. rl: one in six, 4 shots.")
    table("ceil", [row("ceil", CEIL(), DPP(), styled(seed), 8) for seed in SEEDS])
    for side in SIDES:
        trained = [
            row(f"epr, {side}", EPR(candidates_by=side, candidates=20), KNN(), styled(seed), 8)
            for seed in SEEDS
        ]
        table(f"epr by {side}", trained)
    given = {**GAMES, "learning_rate": 0.01, "updates": 2}
    idle = {**GAMES, "learning_rate": 0.0, "updates": 1}
    table("rl", [row("rl", RL(**given), RL(**idle), doubting(seed), 4) for seed in SEEDS])  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
