"""Auto-CoT: clusters, filters, the next-nearest question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from icl.cot.auto_cot import AutoCot, accepted, outward
from icl.cot.shared.chain import Chain
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.prompts import PromptRenderer
from icl.protocols import Resources, methods
from icl.types import Example, Prompt, Query, Template

STEP = "Let's think step by step."


def chain(text: str, answer: str | None) -> Chain:
    return Chain(Prompt(""), text, text, answer)


@pytest.mark.parametrize(
    ("text", "answer", "good"),
    [
        (" 3 + 4 = 7.", "7", True),
        (" 3 + 4 = 7", "7", False),  # no full stop
        (" 3 + 4 = 7.", None, False),
        (" a\nb\nc\nd\n3 + 4 = 7.", "7", True),  # five lines, the opening stands on the first
        ("\n\na\nb\n\nc\n3 + 4 = 7.", "7", True),  # five lines with the opening's own
        ("\n\na\nb\nc\nd\n3 + 4 = 7.", "7", False),  # six
        ("\na\nb\nc\nd\n3 + 4 = 7.", "7", False),
        (" a\nb\nc\nd\ne\n3 + 4 = 7.", "7", False),
        (" 3 + 4 = 7. So we have it now and that is all that there is to say.", "7", False),
        (" 3 + 4 = 7 so. That is it.", "7", True),  # within the last ten words
        (" They have 1,200 in all.", "1200", True),
    ],
)
def test_filters(world: Any, text: str, answer: str | None, good: bool) -> None:
    assert accepted(chain(text, answer), STEP, world.task, 5) is good


def test_other_formats_need_no_number(world_with: Any) -> None:
    task = world_with("boolean", ("yes", "no")).task
    assert accepted(chain(" It is so.", "yes"), STEP, task, 5)


def test_outward_from_each_centroid() -> None:
    vectors = np.array([[0.0, 1.0], [0.0, 0.9], [1.0, 0.0], [0.0, 0.2], [0.9, 0.0]], dtype=np.float32)
    walks = sorted(outward(vectors, 2, 192), key=len)
    # centroids (0.95, 0) and (0, 0.7): distances of 0, 1, 3 are 0.3, 0.2, 0.5
    assert walks == [[2, 4], [1, 0, 3]]


class Places:
    """An encoder that puts each text where its last word says."""

    name = "places"

    def encode(self, texts: Sequence[str]) -> Any:
        spots = {"left": [1.0, 0.0], "near": [0.99, 0.141], "right": [0.0, 1.0]}
        assert all(text.startswith("Q: ") and text.endswith("\nA:") for text in texts), "as it is shown"
        return np.array([spots[text.split()[-2]] for text in texts], dtype=np.float32)


def fitted(world: Any, **given: Any) -> AutoCot:
    world.pool = (
        Example("p0", {"q": "first left"}, "1"),
        Example("p1", {"q": "second left"}, "1"),
        Example("p2", {"q": "third near"}, "1"),
        Example("p3", {"q": "fourth right"}, "1"),
    )

    def reply(prompt: str, sample: int) -> str:
        if prompt.endswith("numerals) is"):
            return " 5."
        bad = prompt.startswith(("Q: first", "Q: second"))
        return " No end" if bad else " We get\n\n4 + 1 = 5."

    resources = replace(world.resources(reply), encoder=Places())
    world.fitting = resources
    return AutoCot(clusters=2, **given).fit(world.pool, resources)


def test_the_next_nearest_question_replaces_a_rejected_one(world: Any) -> None:
    method = fitted(world)
    shown = method.shown(Query("q", {"q": "what?"}), ()).kept
    assert sorted(d.example.id for d in shown) == ["p2", "p3"]
    example = next(d.example for d in shown if d.example.id == "p2")
    assert example.target == "5", "the model's own answer: labels of the pool are not looked at"
    assert example.rationale == f"{STEP} We get 4 + 1 = 5."


def test_the_querys_chain_is_opened_too(world: Any) -> None:
    from icl.conversation import answer_queries

    method = fitted(world)
    query = Query("q", {"q": "third near"})
    (outcome,) = answer_queries(method, [query], [()], world.fitting)
    assert outcome.prompt.text == (
        f"Q: fourth right\nA: {STEP} We get 4 + 1 = 5. The answer is 5.\n\nQ: third near\nA: {STEP}"
    ), "and the query's own question is not shown to it"


def test_a_round_asks_about_twice_as_many_as_the_one_before(world: Any) -> None:
    """Of 20 questions near the left one the 18th alone is answered well: rounds of 4, 8 and the other 8."""
    names = [f"n{i:02}" for i in range(20)]
    world.pool = tuple(Example(name, {"q": f"{name} left"}, "1") for name in names)

    def reply(prompt: str, sample: int) -> str:
        if prompt.endswith("numerals) is"):
            return " 5."
        return " We get 4 + 1 = 5." if "n17" in prompt else " No end"

    resources = replace(world.resources(reply), encoder=Places())
    asked: list[int] = []
    generate = world.model.generate
    world.model.generate = lambda requests, *rest: asked.append(len(requests)) or generate(requests, *rest)
    method = AutoCot(clusters=1).fit(world.pool, resources)
    shown = method.shown(Query("q", {"q": "what?"}), ()).kept
    assert [d.example.id for d in shown] == ["n17"]
    assert asked[::2] == [4, 8, 8], "every other call is the second stage"


def test_questions_are_as_long_as_they_are_shown(world_with: Any) -> None:
    """Two words, with "Q:", "A:" and three choices of two words each ten."""
    task = world_with("multiple_choice").task
    wording = "Q: {{ q }}{% for k, v in choices.items() %} {{ k }} {{ v }}{% endfor %}\nA:"
    shown = replace(task, template=Template(wording))
    choices = {"A": "red", "B": "blue", "C": "green"}
    pool = [Example(f"p{at}", {"q": f"{at} left"}, "A", choices) for at in range(4)]

    class Alike:
        name = "alike"

        def encode(self, texts: Sequence[str]) -> Any:
            assert texts[0] == "Q: 0 left A red B blue C green\nA:"
            return np.eye(len(texts), dtype=np.float32)

    for limit, kept in ((10, 2), (9, 0)):
        model = FakeModel(reply_with=lambda p, i: " B." if p.endswith("is") else " It is so.")
        renderer = PromptRenderer(task=shown, tokenizer=model.tokenizer, context_length=model.context_length)
        resources = Resources(shown, model=model, encoder=Alike(), renderer=renderer)
        method = AutoCot(clusters=2, max_words=limit).fit(pool, resources)
        assert len(method.shown(Query("q", {"q": "what?"}), ()).kept) == kept


def test_long_questions_are_never_asked(world: Any) -> None:
    method = fitted(world, max_words=3)
    assert method.shown(Query("q", {"q": "what?"}), ()).kept == ()
    assert world.model.requests == []


def test_fewer_questions_than_clusters(world: Any) -> None:
    with pytest.raises(ConfigError, match="8 clusters cannot be made of 4 questions"):
        methods.create("auto_cot").fit(world.pool, world.resources())
