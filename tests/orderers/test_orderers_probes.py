"""Probes: where the model goes on, and what is read out of what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.orderers.shared.probes import QueryShape, check_probes, collect, probe_prompt, template_ids
from icl.protocols import Resources
from icl.types import Demonstration, Task, Template

Make = Callable[..., Resources]


def test_the_prompt_stops_where_the_next_text_would_stand(
    moods: Task, four: list[Demonstration], resources_with: Make
) -> None:
    resources = resources_with(FakeModel())
    assert resources.renderer is not None
    prompt = probe_prompt(moods, resources.renderer, four[:2], 10)
    assert prompt == "Text: alpha rain again\nMood: sad\n\nText: beta sun at last\nMood: glad\n\nText:"


def test_the_form_is_made_of_template_and_labels(moods: Task) -> None:
    """The fake tokenizer's tokens are bytes: the letters of "Text:", "Mood:", " sad", " glad", line
    breaks, and none of those that only a text has."""
    model = FakeModel()
    form = template_ids(moods, model.tokenizer)
    assert {chr(token) for token in form if token < 256} == set("\n\nText:\nMood: sad glad")
    assert list(form) == sorted(set(form))
    assert not set(form) & model.tokenizer.eos_ids


def test_a_chat_stops_inside_the_users_turn(
    moods: Task, four: list[Demonstration], resources_with: Make
) -> None:
    from icl.prompts import PromptRenderer

    model = FakeModel()
    renderer = PromptRenderer(task=moods, tokenizer=model.tokenizer, context_length=9999, chat=True)
    assert probe_prompt(moods, renderer, four[:1], 10).endswith("<user>Text:")


def test_texts_are_read_by_the_template(moods: Task) -> None:
    shape = QueryShape.of(moods)
    written = " a  grey morning\nMood: sad\n\nText: one line only\n\nnoise\nText: cut in the mid"
    assert [item["text"] for item in shape.read(written)] == [
        "a grey morning",
        "one line only",
        "cut in the mid",
    ]
    assert shape.read(" the label on one line Mood: sad") == [{"text": "the label on one line"}]
    assert shape.read("\n\nText:") == []


def test_two_inputs_need_both() -> None:
    task = Task(
        "nli",
        "classification",
        Template("P: {{ premise }}\nH: {{ hypothesis }}\nTrue?"),
        ("hypothesis", "premise"),
        labels=("yes", "no"),
    )
    shape = QueryShape.of(task)
    assert (shape.names, shape.head, shape.gaps, shape.tail) == (
        ("premise", "hypothesis"),
        "P:",
        ("\nH: ",),
        "True?",
    )
    written = " it rains\nH: it is wet\nTrue? yes\n\nP: no second one\nTrue? no"
    assert shape.read(written) == [{"premise": "it rains", "hypothesis": "it is wet"}]


def test_short_texts_and_repeats_are_dropped(moods: Task) -> None:
    written = [
        " one two three four five\nMood: sad\n\nText: too short\nMood: sad",
        " One, two three FOUR five!",
    ]
    probes = collect(written, QueryShape.of(moods), 5)
    assert [(p.id, dict(p.inputs)) for p in probes] == [("probe0", {"text": "one two three four five"})]
    assert len(collect(written, QueryShape.of(moods), 1)) == 2


def test_an_input_that_is_not_shown_is_refused(moods: Task) -> None:
    hidden = replace(moods, template=Template("Text: {{ text | length }}\nMood:"))
    with pytest.raises(ConfigError, match=r"'moods'.*template.query.*\(text\) exactly once"):
        QueryShape.of(hidden)


def test_choices_are_refused(moods: Task, resources_with: Make) -> None:
    with pytest.raises(ConfigError, match=r"'global_entropy' and task 'moods' do not fit.*multiple_choice"):
        check_probes(
            resources_with(FakeModel(), replace(moods, kind="multiple_choice", labels=())), "global_entropy"
        )
