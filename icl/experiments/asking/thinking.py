"""Marks of thinking blocks that an experiment or a task names: into the task, and into every text asked
for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from icl.experiments.asking.infront import InFront
from icl.protocols import LanguageModel, OnGeneration, OnScores, Solve, Tokenizer
from icl.thinking import Markers, opened_by, thinking_spans
from icl.types import GenerateRequest, Generation, Outcome, Request, ScoreRequest, Scores, Task


def with_marks(task: Task, marks: Markers) -> Task:
    """The task, whose outputs are read with `marks` beside its own."""
    new = tuple(pair for pair in marks if pair not in task.reading.think)
    if not new:
        return task
    return replace(task, reading=replace(task.reading, think=(*task.reading.think, *new)))


def thinking_tokens(outcome: Outcome, task: Task, tokenizer: Tokenizer) -> int:
    """Tokens of the thinking blocks in an output, marks included but for one that the prompt ends with."""
    output = outcome.output
    opened = opened_by(outcome.prompt.text[-200:], task.reading.think)
    spans, _ = thinking_spans(opened + output, task.reading.think)
    places = [(max(0, start - len(opened)), end - len(opened)) for start, end in spans]
    return sum(len(tokenizer.encode(output[start:end])) for start, end in places)


def marked(solve: Solve, marks: Markers) -> Solve:
    """The conversation, each text of which goes on inside such blocks."""
    responses: Any = None
    while True:
        try:
            asked = next(solve) if responses is None else solve.send(responses)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        responses = yield [_marked(request, marks) for request in asked]


def _marked(request: Request, marks: Markers) -> Request:
    if not marks or not isinstance(request, GenerateRequest) or request.think:
        return request
    return replace(request, think=marks)


class MarkedModel(InFront):
    """`LanguageModel` for what asks in bulk: the same for its texts."""

    def __init__(self, model: LanguageModel, marks: Markers) -> None:
        super().__init__(model)
        self._model = model
        self._marks = marks

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """As the model does."""
        return self._model.score(requests, on_result)

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """As the model does, with the marks."""
        asked = [replace(r, think=self._marks) if not r.think else r for r in requests]
        return self._model.generate(asked, on_result)
