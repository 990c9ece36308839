"""What a generator of items is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from icl.registry import Registry


@dataclass(frozen=True, slots=True)
class Item:
    """One generated problem."""

    question: str
    answer: str
    rationale: str

    @property
    def row(self) -> dict[str, str]:
        """As a row with the fields of a question-answer task."""
        return asdict(self)


class ItemGenerator(Protocol):
    """Writes items. Keyword-only constructor that only stores, as everywhere."""

    def make(self, rng: np.random.Generator) -> Item:
        """One item; everything random in it comes from `rng`."""
        ...


generators: Registry[ItemGenerator] = Registry("generator", ("icl.tasks.generators",), ItemGenerator)
