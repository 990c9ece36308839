"""What a model did in a session, by the clock: reading and writing apart, since they differ in speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from icl.experiments.asking.infront import InFront
from icl.protocols import LanguageModel, OnGeneration, OnScores
from icl.types import GenerateRequest, Generation, ScoreRequest, Scores

Result = TypeVar("Result", Scores, Generation)


@dataclass
class Work:
    """Tokens and seconds of the calls that scored and of those that generated.

    `limit`: tokens that would have been generated had nothing ended before its limit.
    """

    scored: int = 0
    scoring_seconds: float = 0.0
    prefilled: int = 0
    generated: int = 0
    limit: int = 0
    generating_seconds: float = 0.0


@dataclass
class Clocked(Generic[Result]):
    """One call: what has arrived by index, and how long it took; also where it was broken off."""

    on_result: Callable[[int, Result], None] | None
    arrived: dict[int, Result] = field(default_factory=dict)
    seconds: float = 0.0

    def run(self, ask: Callable[[Callable[[int, Result], None]], list[Result]]) -> list[Result]:
        """Asks, and keeps what arrives."""
        began = time.perf_counter()
        try:
            results = ask(self._arrive)
            self.arrived = dict(enumerate(results))
            return results
        finally:
            self.seconds = time.perf_counter() - began

    def _arrive(self, index: int, result: Result) -> None:
        self.arrived[index] = result
        if self.on_result is not None:
            self.on_result(index, result)


class TimedModel(InFront):
    """`LanguageModel` that keeps account of another's work. A call that is broken off counts with the
    results that had arrived."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model)
        self._model = model
        self.work = Work()

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """As the model does."""
        call: Clocked[Scores] = Clocked(on_result)
        try:
            return call.run(lambda arrive: self._model.score(requests, arrive))
        finally:
            self.work.scoring_seconds += call.seconds
            self.work.scored += sum(r.usage.tokens_unique for r in call.arrived.values())

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """As the model does."""
        call: Clocked[Generation] = Clocked(on_result)
        try:
            return call.run(lambda arrive: self._model.generate(requests, arrive))
        finally:
            made = sum(r.usage.tokens_generated for r in call.arrived.values())
            self.work.generating_seconds += call.seconds
            self.work.generated += made
            self.work.prefilled += sum(r.usage.tokens_unique for r in call.arrived.values()) - made
            self.work.limit += sum(requests[i].n * requests[i].max_tokens for i in call.arrived)
