"""A classification task with its renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import settings

from icl.engine.fake import FakeModel
from icl.prompts import PromptRenderer
from icl.protocols import Resources
from icl.types import Demonstration, Example, Task, Template

settings.register_profile("icl", deadline=None)  # how long a case takes is the machine's affair
settings.load_profile("icl")

TASK = Task(
    "reviews",
    "classification",
    Template(
        "Review: {{ text }}\nSentiment:",
        channel_answer="Sentiment: {{ answer }}\nReview:",
        channel_query=" {{ text }}",
    ),
    ("text",),
    labels=("negative", "neutral", "positive"),
    verbalisers={"positive": "great", "negative": "terrible", "neutral": "so so"},
)
MakeResources = Callable[..., Resources]


@pytest.fixture
def task() -> Task:
    return TASK


@pytest.fixture
def shown() -> list[Demonstration]:
    rows = [("a fine film", "positive"), ("a dull film", "negative")]
    return [
        Demonstration(Example(f"p{at}", {"text": text}, label), 1.0 - at / 10)
        for at, (text, label) in enumerate(rows)
    ]


@pytest.fixture
def make_resources() -> MakeResources:
    """make_resources(model, task): resources whose renderer fits that model's window."""

    def make(model: FakeModel, task: Task = TASK) -> Resources:
        renderer = PromptRenderer(task=task, tokenizer=model.tokenizer, context_length=model.context_length)
        return Resources(task, model=model, renderer=renderer)

    return make


@pytest.fixture
def scores_by_text() -> Callable[[Mapping[str, float]], FakeModel]:
    """A model that gives every continuation a score of its own, whatever the prompt."""

    def make(scores: Mapping[str, float]) -> FakeModel:
        return FakeModel(score_with=lambda prompt, continuation: scores[continuation])

    return make
