"""Golds are read as answers are, and must come back through the task's own template."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icl.prompts.answers import is_right
from icl.prompts.answers.gold import check_readable, gold_label, gold_number
from icl.types import Example, Task, Template

NUMBERS = Task("t", "numeric", Template(query="Q: {{ q }}\nA:"), ("q",))
TEXTS = replace(NUMBERS, kind="string")
FEELINGS = replace(NUMBERS, kind="classification", labels=("good", "grim"))


def example(*golds: str, choices: dict[str, str] | None = None) -> Example:
    return Example("e", {"q": "?"}, golds[0], choices or {}, accepted=golds[1:])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4/10", "0.4"),
        ("3/9", "1/3"),
        ("\u22127", "-7"),
        ("98,765", "98765"),
        ("$ 1,250.50", "1250.5"),
        ("12 %", "12"),
        ("+8", "8"),
        ("forty-one", "41"),
        ("6.02e3", "6020"),
        (".25", "0.25"),
    ],
)
def test_one_number(text: str, value: str) -> None:
    assert gold_number(text) == value


@pytest.mark.parametrize(
    "text", ["7,25", "4, 6", "9.876,54", "8:45", "4 or 5", "5 apples", "x", "", "1/0", "2-3", "nan"]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        gold_number(text)


@pytest.mark.parametrize(("text", "value"), [("7,25", "7.25"), ("9.876,54", "9876.54"), ("4.000", "4000")])
def test_a_comma_begins_the_decimals_in_german(text: str, value: str) -> None:
    assert gold_number(text, "de") == value


@pytest.mark.parametrize(
    ("text", "language", "label"),
    [
        ("yes", "en", "yes"),
        ("No", "en", "no"),
        ("true", "en", "yes"),
        ("sí", "es", "yes"),
        ("Nein.", "de", "no"),
        ("はい", "ja", "yes"),
    ],
)
def test_another_word_for_a_label(text: str, language: str, label: str) -> None:
    task = replace(FEELINGS, kind="boolean", labels=("yes", "no"), verbalisers={}, language=language)
    assert gold_label(text, task) == label


@pytest.mark.parametrize("text", ["perhaps", "yes and no", "no one", ""])
def test_what_names_no_label(text: str) -> None:
    task = replace(FEELINGS, kind="boolean", labels=("yes", "no"), verbalisers={})
    with pytest.raises(ValueError, match="none of the labels: yes, no"):
        gold_label(text, task)


def test_what_comes_back_is_no_error() -> None:
    check_readable(example('(a (b? c) "d. E")'), TEXTS)
    check_readable(
        example("17"), replace(NUMBERS, template=Template("{{ q }}", " It is {{ answer }} in all."))
    )
    check_readable(example("grim"), FEELINGS)
    check_readable(example("B", choices={"A": "x", "B": "y"}), replace(NUMBERS, kind="multiple_choice"))


@pytest.mark.parametrize(
    ("task", "gold"),
    [
        (TEXTS, "I don't know"),
        (replace(NUMBERS, template=Template("{{ q }}", " {{ answer }} or 3")), "17"),
        (replace(FEELINGS, template=Template("{{ q }}", " {{ answer[0] }}")), "grim"),
    ],
)
def test_what_does_not_come_back_is_named(task: Task, gold: str) -> None:
    with pytest.raises(ValueError, match=r"the gold .* is read as "):
        check_readable(example(gold), task)


def test_any_of_several_golds_is_right() -> None:
    several = example("New York", "NYC")
    assert is_right("nyc", several, TEXTS)
    assert is_right("New York", several, TEXTS)
    assert not is_right("Boston", several, TEXTS)
    assert not is_right(None, several, TEXTS)
