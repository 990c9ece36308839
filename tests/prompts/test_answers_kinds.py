"""Kinds of output that are easily misread, each with several of its like: kinds_of_outputs.jsonl.

`right` is the answer a careful reader would give, null where there is none to be had. What no one could
tell must not be read in silence, so a null comes with a flag that says why.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from icl.prompts.answers import equivalent, parse
from icl.types import Query, ReadingRules, Task, Template

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("kinds_of_outputs.jsonl").open(encoding="utf-8")
]
QUERY = Query("q", {"question": "?"})
ABCD = Query("q", {"question": "?"}, dict.fromkeys("ABCD", ""))


def task(kind: Any, labels: tuple[str, ...] = (), *, language: str = "en", **rules: Any) -> Task:
    template = Template(query="Q: {{ question }}\nA:")
    return Task("t", kind, template, ("question",), labels, language=language, reading=ReadingRules(**rules))


def asked(row: dict[str, Any]) -> tuple[Task, Query]:
    template = Template(query="Q: {{ question }}\nA:")
    made = Task(
        "t",
        row["kind"],
        template,
        ("question",),
        tuple(row.get("labels", ())),
        row.get("verbalisers", {}),
        language=row.get("language", "en"),
    )
    return made, Query("q", {"question": "?"}, row.get("choices", {}))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"][:40])
def test_read_as_a_careful_reader_would(row: dict[str, Any]) -> None:
    made, query = asked(row)
    found = parse(row["text"], made, query, where=row["where"])
    if row["right"] is None:
        assert found.answer is None
        assert {"unparsed", "abstained"} & set(found.flags)
    elif row["kind"] == "string":
        assert found.answer == row["right"]
    else:
        assert equivalent(found.answer, row["right"], made), found


def test_every_kind_has_its_rows() -> None:
    assert min(Counter(row["kind"] for row in ROWS).values()) >= 25


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("The answer is (A) or (D).", "ambiguous"),
        ("The answer is (F).", "off_list"),
        ("The answer is none of the above.", "off_list"),
        ("I do not know which one.", "abstained"),
        ("<think>A looks good", "thinking"),
        ("A bird sings.", "unparsed"),
    ],
)
def test_the_flag_says_why(text: str, flag: str) -> None:
    assert flag in parse(text, task("multiple_choice"), ABCD).flags


def test_abstained_is_not_unparsed() -> None:
    assert "unparsed" not in parse("I don't know.", task("numeric"), QUERY).flags
    assert "abstained" not in parse("Blue.", task("numeric"), QUERY).flags


def test_a_calculation_that_was_left_open_is_flagged() -> None:
    found = parse("The answer is 6 x 7.", task("numeric"), QUERY)
    assert (found.answer, found.flags) == ("42", ("calculated",))


def test_an_answer_is_still_to_come_while_a_block_is_open() -> None:
    found = parse("<think>So the answer is 12, I think", task("numeric"), QUERY)
    assert (found.answer, found.flags) == (None, ("thinking", "unparsed"))


def test_a_block_that_the_prompt_opened_is_thinking() -> None:
    prompt = "<|assistant|>\n<think>\n"
    assert parse("It is 12, I think", task("numeric"), QUERY).answer == "12"
    found = parse("It is 12, I think", task("numeric"), QUERY, after=prompt)
    assert (found.answer, found.flags) == (None, ("thinking", "unparsed"))
    output = "3 or 4?</think> The answer is 7."
    for where in ("first", "last", "trigger"):
        found = parse(output, task("numeric"), QUERY, where=where, after=prompt)
        assert found.answer == "7"
        assert found.span is not None
        assert output[slice(*found.span)] == "7"
    assert parse("3", task("numeric"), QUERY, after="What is <think>?").answer == "3"


def test_spans_are_those_of_the_whole_output() -> None:
    output = "<think>5?\n\nQ: no</think>\nThe answer is 7."
    found = parse(output, task("numeric"), QUERY)
    assert found.span is not None
    assert output[slice(*found.span)] == "7"


def test_a_tasks_own_marks_of_thinking() -> None:
    output = "~~ 4? ~~/ The sum is 9."
    assert parse(output, task("numeric"), QUERY).answer == "9"
    own = task("numeric", think=(("~~", "~~/"),))
    assert parse("~~ 4 ~~/ 9", own, QUERY, where="first").answer == "9"
    assert "thinking" in parse("~~ 4", own, QUERY).flags


def test_no_guess_after_an_empty_announcement() -> None:
    output = "He sold 5. The answer is"
    assert parse(output, task("numeric"), QUERY).answer == "5"
    found = parse(output, task("numeric", guess=False), QUERY)
    assert (found.answer, found.flags) == (None, ("empty_trigger", "unparsed"))


def test_a_pattern_of_the_tasks_own() -> None:
    own = task("numeric", pattern=r"Result\[(.*?)\]")
    assert parse("Result[3] and Result[4] of 9", own, QUERY).answer == "4"
    assert parse("Result[3] and Result[4] of 9", own, QUERY, where="first").answer == "3"
    assert parse("The answer is 8.", own, QUERY).answer == "8"
    assert parse("Result[twenty-two]", own, QUERY).answer == "22"
    assert parse("8. Result[I don't know]", own, QUERY).flags == ("abstained",)


def test_a_pattern_without_end_is_given_up() -> None:
    own = task("string", pattern=r"^(.*?,){22}P")
    found = parse("1," * 60, own, QUERY)
    assert (found.answer, found.flags) == (None, ("slow_pattern", "unparsed"))


@pytest.mark.parametrize(
    ("answer", "gold", "kind", "same"),
    [
        ("0.3333333333333333", "1/3", "numeric", True),
        ("0.1428571428571428", "0.1428571428571429", "numeric", True),
        ("0.14", "1/7", "numeric", False),
        ("12345678", "12345679", "numeric", False),
        ("2.4999999999", "2.5", "numeric", True),
        ("0.00000012", "0.00000013", "numeric", False),
        ("1234567.5", "1234567.6", "numeric", False),
        ("1.25", "125", "string", False),
        ("-8", "8", "string", False),
        ("25,000", "25000", "string", True),
        ("007", "7", "string", False),
        ("\u22123", "-3", "string", True),
        ("3-4", "34", "string", False),
        ("a*b", "ab", "string", False),
        ("**ab**", "ab", "string", True),
        ("v1.2", "v12", "string", False),
        ("(Oslo)", "Oslo", "string", True),
        ("(f x)", "(f x)", "string", True),
        ("(f x)", "(f y)", "string", False),
        ("x-ray", "xray", "string", True),
        ("7 5", "75", "string", False),
    ],
)
def test_the_same_answer(answer: str, gold: str, kind: Any, same: bool) -> None:
    assert equivalent(answer, gold, task(kind)) is same


@pytest.mark.parametrize(
    ("answer", "gold", "rules", "same"),
    [
        ("3.14", "3.1416", {"tolerance": 0.01}, True),
        ("3.10", "3.1416", {"tolerance": 0.01}, False),
        ("98", "100", {"tolerance": 0.02, "relative": True}, True),
        ("97", "100", {"tolerance": 0.02, "relative": True}, False),
        ("0.6666667", "2/3", {"tolerance": 0.0}, False),
    ],
)
def test_a_stated_tolerance(answer: str, gold: str, rules: dict[str, Any], same: bool) -> None:
    assert equivalent(answer, gold, task("numeric", **rules)) is same
