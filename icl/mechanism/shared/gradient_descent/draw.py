"""Which examples are shown and trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.mechanism.shared.labelled import balanced, shuffled_labels
from icl.types import Example


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


def drawn(
    pool: Sequence[Example], labels: Sequence[str], shots: int, validation: int, draw: np.random.Generator
) -> Drawn:
    """A set. ConfigError where the pool has too few of a label."""
    shown = balanced(pool, labels, shots, draw)
    rest = [example for example in pool if example not in shown]
    others = balanced(rest, labels, shots, draw)
    rest = [example for example in rest if example not in others]
    return Drawn(shown, shuffled_labels(shown, draw), others, tuple(rest[:validation]))
