"""Which examples are shown and trained on, and how their labels are shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from icl.types import Example

DRAWS = 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """The examples of one set, none of them twice."""

    shown: tuple[Example, ...]
    """Demonstrations, in the order in which they are shown and trained on."""
    shuffled: tuple[Example, ...]
    """The same with each other's labels."""
    others: tuple[Example, ...]
    """As many others."""
    validation: tuple[Example, ...]
    """For the learning rate."""


def drawn(pool: Sequence[Example], shots: int, validation: int, draw: np.random.Generator) -> Drawn:
    """A set. Labels take turns among the demonstrations, as far as the pool has them."""
    order = [pool[int(i)] for i in draw.permutation(len(pool))]
    shown, rest = _by_turns(order, shots)
    others, rest = _by_turns(rest, shots)
    shown, others = _mixed(shown, draw), _mixed(others, draw)
    return Drawn(shown, shuffled(shown, draw), others, tuple(rest[:validation]))


def _by_turns(order: Sequence[Example], count: int) -> tuple[tuple[Example, ...], list[Example]]:
    """(`count` examples whose labels take turns, the rest)."""
    seen: dict[str, int] = {}
    turn = []
    for example in order:
        turn.append(seen.get(example.target, 0))
        seen[example.target] = turn[-1] + 1
    ranked = sorted(range(len(order)), key=lambda at: turn[at])  # stable: by turn, then by draw
    taken = set(ranked[:count])
    return tuple(order[at] for at in ranked[:count]), [e for at, e in enumerate(order) if at not in taken]


def _mixed(examples: Sequence[Example], draw: np.random.Generator) -> tuple[Example, ...]:
    return tuple(examples[int(i)] for i in draw.permutation(len(examples)))


def shuffled(examples: Sequence[Example], draw: np.random.Generator) -> tuple[Example, ...]:
    """The labels dealt anew, so that as many are wrong as chance makes wrong: (L - 1) / L of them, with L
    labels among the examples. Of some draws the one that comes nearest."""
    labels = [example.target for example in examples]
    wanted = len(labels) * (1 - 1 / max(len(set(labels)), 1))
    best = labels
    for _ in range(DRAWS):
        dealt = [labels[int(i)] for i in draw.permutation(len(labels))]
        if abs(_wrong(dealt, labels) - wanted) < abs(_wrong(best, labels) - wanted):
            best = dealt
    return tuple(replace(e, target=label, accepted=()) for e, label in zip(examples, best, strict=True))


def _wrong(dealt: Sequence[str], labels: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(dealt, labels, strict=True))
