"""Greedy generation and the parsing of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from icl.conversation import answer_queries
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from icl.methods.generate import Generate
from icl.prompts.stops import answer_stops
from icl.protocols import Resources, methods
from icl.types import Demonstration, Example, GenerateRequest, Outcome, Query, Task, TaskKind, Template

Make = Callable[..., Resources]
TEMPLATE = Template("Q: {{ q }}\nA:")


def make_task(kind: TaskKind, labels: Sequence[str] = ()) -> Task:
    return Task("t", kind, TEMPLATE, ("q",), labels=tuple(labels), max_answer_tokens=60)


def answer(make: Make, task: Task, reply: str, **parameters: Any) -> Outcome:
    choices = {"A": "red", "B": "blue"} if task.kind == "multiple_choice" else {}
    model = FakeModel(reply_with=lambda prompt, sample: reply)
    query = Query("q", {"q": "what?"}, choices)
    return answer_queries(Generate(**parameters), [query], [()], make(model, task))[0]


@pytest.mark.parametrize(
    ("kind", "reply", "expected"),
    [
        ("numeric", " 1,234 apples", "1234"),
        ("numeric", " 3 + 4 = 7. The answer is 7.", "7"),
        ("numeric", " I say 5, though 6 is near", "5"),
        ("boolean", " Yes, it does", "yes"),
        ("multiple_choice", " (B) blue", "B"),
        ("string", " nk\n", "nk"),
        ("classification", " negative, I think", "negative"),
    ],
)
def test_answers_of_every_kind(make_resources: Make, kind: TaskKind, reply: str, expected: str) -> None:
    labels = {"boolean": ("yes", "no"), "classification": ("positive", "negative")}.get(kind, ())
    outcome = answer(make_resources, make_task(kind, labels), reply)
    flags = [flag for flag in outcome.flags if not flag.endswith("_disagree")]
    assert (outcome.answer, outcome.output, flags) == (expected, reply, [])
    start, end = outcome.details["span"]
    assert expected.lower() in outcome.output[start:end].replace(",", "").lower()


def test_readings_that_differ_are_flagged_and_kept(make_resources: Make) -> None:
    outcome = answer(make_resources, make_task("numeric"), " I see 3 birds. The answer is 7.")
    assert outcome.details["readings"] == {"first": "3", "last": "7", "trigger": "7"}
    assert outcome.flags == ("first_last_disagree", "first_trigger_disagree")
    assert not answer(make_resources, make_task("numeric"), " 7").flags


def test_one_greedy_request_with_the_tasks_stops(make_resources: Make) -> None:
    model = FakeModel(reply_with=lambda prompt, sample: " 4")
    shown = [Demonstration(Example("p0", {"q": "1 + 1"}, "2"))]
    task = make_task("numeric")
    (outcome,) = answer_queries(
        Generate(), [Query("q", {"q": "2 + 2"})], [shown], make_resources(model, task)
    )
    assert outcome.prompt.text == "Q: 1 + 1\nA: 2\n\nQ: 2 + 2\nA:"
    assert model.requests == [GenerateRequest(outcome.prompt.text, max_tokens=60, stop=("\n\n", "\nQ:"))]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (Template("{{ q }}\nA:"), ("\n\n",)),
        (Template("Q: {{ q }}", separator=" "), ("\nQ:",)),
        (Template("{% if q %}{{ q }}{% endif %}", separator="\n###\n"), ("\n###\n",)),
    ],
)
def test_stops(template: Template, expected: tuple[str, ...]) -> None:
    assert answer_stops(Task("t", "string", template, ("q",))) == expected


def test_the_answer_ends_where_the_next_question_begins(make_resources: Make) -> None:
    task = make_task("numeric")
    ends = answer(make_resources, task, " 4\n\nQ: and 9 + 9?\nA: 18")
    assert (ends.answer, ends.output, ends.flags) == ("4", " 4", ())
    runs = answer(make_resources, task, " 4\nQ: and 9 + 9?\nA: 18")
    assert (runs.answer, runs.output, runs.flags) == ("4", " 4", ("run_on",))
    kept = answer(make_resources, task, " 4\nQ: and 9 + 9?\nA: 18", stop=[], where="last")
    assert (kept.answer, kept.flags) == ("4", ("run_on",))
    assert kept.output.endswith("18")


def test_what_went_wrong_is_flagged(make_resources: Make) -> None:
    nothing = answer(make_resources, make_task("numeric"), " Several")
    assert (nothing.answer, nothing.flags) == (None, ("unparsed",))
    unknown = answer(make_resources, make_task("numeric"), " I cannot say")
    assert (unknown.answer, unknown.flags) == (None, ("abstained",))
    cut = answer(make_resources, make_task("numeric"), " 12345678", max_tokens=4)
    assert (cut.answer, cut.output, cut.flags) == ("123", " 123", ("cut_by_length",))
    assert cut.details["stop_reason"] == "length"


def test_where(make_resources: Make) -> None:
    task = make_task("numeric")
    assert answer(make_resources, task, " 5, then 6", where="last").answer == "6"
    assert answer(make_resources, task, " 5, then 6", where="first").answer == "5"
    assert answer(make_resources, task, " 5, then 6. The answer is 8, not 9", where="trigger").answer == "8"
    assert answer(make_resources, task, " 5, then 6. The answer is 8, not 9", where="first").answer == "5"


@pytest.mark.parametrize("given", [{"max_tokens": 0}, {"stop": "\n"}, {"where": "middle"}])
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"method 'generate': {next(iter(given))} is .*allowed"):
        methods.create("generate", given)
