"""Candidate orders: all of them, or a sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from typing import Literal, TypeAlias

import numpy as np

from icl.errors import ConfigError

Order: TypeAlias = tuple[int, ...]
"""Prompt position -> index of the demonstration."""
Wanted: TypeAlias = int | Literal["all"]
MOST_IN_FULL = 8
"""Demonstrations of which all orders can be asked for; 8! = 40,320."""


class AmongOrders:
    """What every orderer that chooses among candidate orders is told: how many to try."""

    def __init__(self, permutations: Wanted) -> None:
        check_wanted("permutations", permutations)
        self.permutations = permutations

    def check_shots(self, shots: int) -> None:
        """ConfigError when `shots` demonstrations are more than are ordered in full."""
        check_count(shots, self.permutations)


def check_wanted(name: str, value: object) -> None:
    """Raises ValueError unless `value` is an integer of at least 1 or "all"."""
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not (whole or value == "all"):
        raise ValueError(f"{name} is {value!r}; allowed: an integer >= 1, or all")


def check_count(count: int, wanted: Wanted) -> None:
    """ConfigError, with an offer, when all orders of more than 8 demonstrations are asked for."""
    if wanted == "all" and count > MOST_IN_FULL:
        raise ConfigError(
            f"all orders of {count} demonstrations are {math.factorial(count):,}; at most {MOST_IN_FULL} "
            "demonstrations are ordered in full. Sample instead, e.g. permutations: 24"
        )


def candidate_orders(count: int, wanted: Wanted, stream: Callable[[], np.random.Generator]) -> list[Order]:
    """Different orders of `count` demonstrations.

    All count! in lexicographic order where no more than `wanted` (or all) are there; else `wanted`
    drawn uniformly without replacement, in the order drawn; `stream` is called only then.
    Raises ConfigError when all orders of more than 8 demonstrations are asked for.
    """
    check_count(count, wanted)
    if wanted == "all":
        return list(permutations(range(count)))
    if count <= MOST_IN_FULL:
        every = list(permutations(range(count)))
        if len(every) <= wanted:
            return every
        return [every[at] for at in stream().choice(len(every), size=wanted, replace=False)]
    rng = stream()
    drawn: dict[Order, None] = {}
    while len(drawn) < wanted:
        drawn[tuple(rng.permutation(count).tolist())] = None
    return list(drawn)
