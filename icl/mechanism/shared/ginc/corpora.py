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
    """The largest of both; fewer sources at its size; less text of its sources; the largest, permuted."""
    most, largest = max(sources), max(documents)
    fewer = [Corpus(count, largest) for count in sorted(sources) if count < most]
    smaller = [Corpus(most, count) for count in sorted(documents) if count < largest]
    return (Corpus(most, largest), *fewer, *smaller, Corpus(most, largest, permuted=True))
