"""Equations and expressions with an unknown, beside numbers with units; plain numbers the quick way and the
whole one."""

from __future__ import annotations

import random

import pytest

from icl.prompts.answers import parse
from icl.prompts.answers.numbers import find
from icl.types import Query, Task, Template

TASK = Task("t", "numeric", Template(query="Q: {{ q }}\nA:"), ("q",))
QUERY = Query("q", {"q": ""})


@pytest.mark.parametrize(
    "said",
    [
        "3z * z + 7x = 90",
        "x + 8 = 31",
        "31 = x + 8",
        "4(y - 2)",
        "7n + 6",
        "x^2 = 81",
        "3^x = 27",
        "\\frac{x}{4}",
        "y = 9x + 1",
        "5a + 6b.",
        "\\boxed{4x + 9}",
        "8 * (x - 3) = 16",
        "x = 6y",
        "1/x",
    ],
)
def test_an_unknown_that_stays_unknown_is_no_number(said: str) -> None:
    found = parse(f"The answer is {said}", TASK, QUERY)
    assert (found.answer, "ambiguous" in found.flags) == (None, True)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("x = 17", "17"),
        ("17 = x", "17"),
        ("3x = 51, so x = 17", "17"),
        ("3x = 51. Therefore x = 17.", "17"),
        ("x + 4 = 21, which gives x = 17.", "17"),
        ("x^2 = 289, x = 17", "17"),
        ("$4k = 68$, k = 17", "17"),
        ("S = 4a + 2b = 17", "17"),
        ("3p + 2q = 3(5) + 2(1) = 17", "17"),
        ("9x + 8 = 9(1) + 8 = 17", "17"),
        ("f(6) = 17", "17"),
        ("r = 17 marbles", "17"),
        ("A = 8 * 4 = 32", "32"),
    ],
)
def test_what_the_unknown_is_found_to_be_counts(said: str, answer: str) -> None:
    assert parse(f"The answer is {said}", TASK, QUERY).answer == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("6k", "6"),
        ("4m", "4"),
        ("35km", "35"),
        ("25m/s", "25"),
        ("12m^2", "12"),
        ("2h 15min", "2"),
        ("40s + 5s = 45s", "45"),
        ("3x as many", "3"),
        ("3x", "3"),
        ("4 x 6 = 24", "24"),
        ("4x6 = 24", "24"),
        ("4 x 6", "24"),
        ("15 - a bit more", "15"),
        ("A) 9", "9"),
        ("2L + 3W = 60", "60"),
        ("n: 14", "14"),
    ],
)
def test_units_names_and_times_are_no_unknowns(said: str, answer: str) -> None:
    assert parse(f"The answer is {said}", TASK, QUERY).answer == answer


PARTS = (
    *(
        "7",
        "12",
        "000",
        "1,250",
        "3.5",
        "$",
        "€",
        "Rs. ",
        "-",
        "–",
        "+",
        " ",
        "  ",
        "\n",
        ".",
        ",",
        ":",
        "/",
        "10:30",
    ),
    *(
        "2/3",
        "2020-05-06",
        "x",
        "×",
        "*",
        "^",
        "²",
        "½",
        "\\frac{1}{2}",
        "and",
        " and 1/2",
        "e5",
        "k",
        "%",
        "st",
        "'",
    ),
    *(
        "_",
        "{,}",
        "(",
        ")",
        "apples",
        "step ",
        "minus ",
        "two",
        "million",
        "squared",
        "cents",
        " dollars and ",
        "５",
    ),
)


@pytest.mark.parametrize("language", ["en", "de"])
def test_plain_numbers_are_read_as_the_whole_pattern_reads_them(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices(PARTS, k=draw.randint(1, 9))) for _ in range(3000)]
    quick = [find.find_numbers(text, language) for text in texts]
    monkeypatch.setattr(find, "_plain", lambda text, at: None)
    assert quick == [find.find_numbers(text, language) for text in texts]
    assert sum(map(len, quick)) > 3000


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("\u017fix", "6"),
        ("\u212aelvin", None),
        ("hal\u017f", None),
        ("\u017feventy-\u017fix", "76"),
        ("point \u017fix", "0.6"),
    ],
)
def test_letters_that_are_others_in_lower_case_end_nothing(word: str, number: str | None) -> None:
    assert parse(f"The answer is {word}", TASK, QUERY).answer == number
