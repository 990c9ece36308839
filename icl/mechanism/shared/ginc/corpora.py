"""Which corpora networks are trained on: sources by size, and one without order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PERMUTED = "permuted"
"""In the name of the control."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents of the first `sources` concepts. permuted: the tokens of each in random order."""

    sources: int
    documents: int
    permuted: bool = False

    @property
    def name(self) -> str:
        """Of steps and rows: "5 concepts, 200 documents"."""
        noun = "concept" if self.sources == 1 else "concepts"
        return f"{self.sources} {noun}, {self.documents} documents" + f", {PERMUTED}" * self.permuted


def corpora(sources: Sequence[int], documents: Sequence[int]) -> tuple[Corpus, ...]:
    """Every number of sources with every size; the largest of both first, then its permuted control."""
    most, largest = max(sources), max(documents)
    grid = [Corpus(s, d) for s in sorted(sources, reverse=True) for d in sorted(documents, reverse=True)]
    return (Corpus(most, largest), Corpus(most, largest, permuted=True), *grid[1:])
