"""Counts what a part of the run asks of the model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from icl.experiments.asking.infront import InFront
from icl.protocols import LanguageModel, OnGeneration, OnScores
from icl.types import NO_USAGE, GenerateRequest, Generation, ScoreRequest, Scores, Usage


@dataclass(eq=False)
class Cost:
    """What something asked of the model, and the time it took in all."""

    usage: Usage = NO_USAGE
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.usage + other.usage, self.seconds + other.seconds)


class MeteredModel(InFront):
    """`LanguageModel` that adds the usage of every response to the costs being counted."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model)
        self._model = model
        self._open: list[Cost] = []

    @contextmanager
    def count(self) -> Iterator[Cost]:
        """Counts while the block runs; the cost is whole when it ends."""
        cost = Cost()
        self._open.append(cost)
        began = time.perf_counter()
        try:
            yield cost
        finally:
            cost.seconds = time.perf_counter() - began
            self._open.remove(cost)

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """As the model does."""
        results = self._model.score(requests, on_result)
        self._add([r.usage for r in results])
        return results

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """As the model does."""
        results = self._model.generate(requests, on_result)
        self._add([r.usage for r in results])
        return results

    def _add(self, usages: Sequence[Usage]) -> None:
        if self._open:
            total = sum(usages, start=NO_USAGE)
            for cost in self._open:
                cost.usage = cost.usage + total
