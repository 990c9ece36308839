"""Domain-context calibration: where the words come from, and the prior by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from icl.calibration.domain_context import DomainContext
from icl.conversation import answer_queries
from icl.engine.fake import FakeModel
from icl.protocols import Resources
from icl.types import Demonstration, Example, Query, Task, Template

Make = Callable[..., Resources]
QUERY = Query("q", {"text": "a long film"})
POOL = [
    Example("a", {"text": "fun fun fun and fun"}, "positive"),
    Example("b", {"text": "slow and dull"}, "negative"),
    Example("c", {"text": "fun"}, "positive"),
]


def texts_of(model: FakeModel) -> list[str]:
    """The random texts that were asked."""
    prompts = [str(request.prompt) for request in model.requests[1:]]
    return [prompt.split("Review:")[-1].removesuffix("\nSentiment:").strip() for prompt in prompts]


def asked(method: DomainContext, resources: Resources, shown: list[Demonstration]) -> list[str]:
    model = resources.model
    assert isinstance(model, FakeModel)
    model.requests.clear()
    answer_queries(method.fit(POOL, resources), [QUERY], [shown], resources)
    return texts_of(model)


def test_words_of_the_pool_as_often_as_they_occur(make_resources: Make, shown: list[Demonstration]) -> None:
    texts = asked(DomainContext(texts=200), make_resources(FakeModel()), shown)
    assert len(texts) == 200
    assert all(len(text.split()) == 3 for text in texts), "9 words in 3 texts"
    drawn = [word for text in texts for word in text.split()]
    assert set(drawn) == {"fun", "and", "slow", "dull"}
    # 5 of 9 words are "fun"; 4 standard deviations of Binomial(600, 5/9) are 49.
    assert abs(drawn.count("fun") - 600 * 5 / 9) < 49


def test_seed_and_length(make_resources: Make, shown: list[Demonstration]) -> None:
    resources = make_resources(FakeModel())
    texts = asked(DomainContext(), resources, shown)
    assert len(texts) == 20
    assert asked(DomainContext(), resources, shown) == texts
    assert asked(DomainContext(), replace(resources, seed=1), shown) != texts
    assert {len(t.split()) for t in asked(DomainContext(words=7), resources, shown)} == {7}


def test_a_text_without_spaces_is_drawn_from_by_character(make_resources: Make) -> None:
    model = FakeModel()
    resources = make_resources(model)
    pool = [Example("a", {"text": "天气很好"}, "positive"), Example("b", {"text": "下雨"}, "negative")]
    answer_queries(DomainContext().fit(pool, resources), [QUERY], [()], resources)
    assert all(len(text) == 3 and set(text) <= set("天气很好下雨") for text in texts_of(model))


def test_every_input_gets_its_own_words(make_resources: Make) -> None:
    task = Task("pairs", "classification", Template("{{ x }} | {{ y }}\nA:"), ("x", "y"), labels=("m", "n"))
    model = FakeModel()
    resources = make_resources(model, task)
    pool = [Example("a", {"x": "left side", "y": "right"}, "m")]
    answer_queries(DomainContext().fit(pool, resources), [Query("q", {"x": "1", "y": "2"})], [()], resources)
    sides = [str(request.prompt).removesuffix("\nA:").split(" | ") for request in model.requests[1:]]
    assert {word for left, _ in sides for word in left.split()} == {"left", "side"}
    assert {right for _, right in sides} == {"right"}


def test_the_prior_by_hand(make_resources: Make, shown: list[Demonstration]) -> None:
    given = {" terrible": 0.3, " so so": 0.1, " great": 0.6}
    # Scaled by 0.1: each text's probabilities are normalised before their mean is taken.
    domain = {" terrible": 0.01, " so so": 0.01, " great": 0.08}

    def score(prompt: str, text: str) -> float:
        return math.log((given if "a long film" in prompt else domain)[text])

    resources = make_resources(FakeModel(score_with=score))
    (outcome,) = answer_queries(DomainContext().fit(POOL, resources), [QUERY], [shown], resources)
    assert outcome.details["domain"] == pytest.approx({"negative": 0.1, "neutral": 0.1, "positive": 0.8})
    assert outcome.label_scores == pytest.approx(
        {"negative": math.log(3), "neutral": 0.0, "positive": math.log(0.75)}
    )
    assert outcome.answer == "negative"
    assert outcome.details["margin"] == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("form", "negative", "positive"),
    [
        # (0.3 / 0.4 + 0.01 / 0.1) / 2 and (0.1 / 0.4 + 0.09 / 0.1) / 2
        ("paper", 0.425, 0.575),
        # 0.3 + 0.01 to 0.1 + 0.09
        ("code", 0.31 / 0.5, 0.19 / 0.5),
    ],
)
def test_what_is_averaged(make_resources: Make, form: Any, negative: float, positive: float) -> None:
    """Two texts, the first with four times as much probability on the labels."""
    likely = {"negative": 0.3, "positive": 0.1}, {"negative": 0.01, "positive": 0.09}
    seen: list[str] = []

    def score(prompt: str, label: str) -> float:
        if prompt not in seen:
            seen.append(prompt)
        return math.log(likely[(seen.index(prompt) - 1) % 2][label.strip()])

    task = Task("two", "classification", Template("{{ text }} ="), ("text",), labels=("negative", "positive"))
    pool = [Example(str(at), {"text": f"word{at} w{at}"}, "positive") for at in range(9)]
    resources = make_resources(FakeModel(score_with=score), task)
    method = DomainContext(texts=2, words=6, form=form).fit(pool, resources)
    (outcome,) = answer_queries(method, [QUERY], [()], resources)
    assert outcome.details["domain"] == pytest.approx({"negative": negative, "positive": positive})


def test_texts_of_the_authors_code(make_resources: Make, shown: list[Demonstration]) -> None:
    """10 words in 3 texts: int(10 / 3) + 1 = 4, in lower case, and a full stop of its own."""
    pool = [*POOL[:2], Example("c", {"text": "FUN Again"}, "positive")]
    model = FakeModel()
    resources = make_resources(model)
    answer_queries(DomainContext(form="code").fit(pool, resources), [QUERY], [shown], resources)
    for text in texts_of(model):
        *words, end = text.split()
        assert (len(words), end) == (4, ".")
        assert text == text.lower()


def test_labels_of_the_pool_make_no_difference(make_resources: Make, shown: list[Demonstration]) -> None:
    resources = make_resources(FakeModel())
    poisoned = [replace(example, target="poison") for example in POOL]
    plain = answer_queries(DomainContext().fit(POOL, resources), [QUERY], [shown], resources)
    assert answer_queries(DomainContext().fit(poisoned, resources), [QUERY], [shown], resources) == plain
