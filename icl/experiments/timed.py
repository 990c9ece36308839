"""What a model did in a session, by the clock: reading and writing apart, since they differ in speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from icl.protocols import LanguageModel, OnGeneration, OnScores, Tokenizer
from icl.types import GenerateRequest, Generation, ScoreRequest, Scores


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


class TimedModel:
    """`LanguageModel` that keeps account of another's work. A call that is broken off counts with the
    results that had arrived."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.work = Work()

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def tokenizer(self) -> Tokenizer:
        return self._model.tokenizer

    @property
    def context_length(self) -> int:
        return self._model.context_length

    @property
    def fingerprint(self) -> str:
        return self._model.fingerprint

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """As the model does."""
        arrived: dict[int, Scores] = {}
        began = time.perf_counter()

        def arrive(index: int, result: Scores) -> None:
            arrived[index] = result
            if on_result is not None:
                on_result(index, result)

        try:
            results = self._model.score(requests, arrive)
            arrived = dict(enumerate(results))
            return results
        finally:
            self.work.scoring_seconds += time.perf_counter() - began
            self.work.scored += sum(r.usage.tokens_unique for r in arrived.values())

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """As the model does."""
        arrived: dict[int, Generation] = {}
        began = time.perf_counter()

        def arrive(index: int, result: Generation) -> None:
            arrived[index] = result
            if on_result is not None:
                on_result(index, result)

        try:
            results = self._model.generate(requests, arrive)
            arrived = dict(enumerate(results))
            return results
        finally:
            made = sum(r.usage.tokens_generated for r in arrived.values())
            self.work.generating_seconds += time.perf_counter() - began
            self.work.generated += made
            self.work.prefilled += sum(r.usage.tokens_unique for r in arrived.values()) - made
            self.work.limit += sum(requests[i].n * requests[i].max_tokens for i in arrived)
