"""Figures of a card by hand, its Markdown against what would be markup, verbs and objects."""

from __future__ import annotations

import pytest

from icl.instructions.card import Lengths, card_of
from icl.instructions.card_text import to_markdown
from icl.instructions.diversity import verb_and_object
from icl.instructions.rows import InstructionRow, from_line, to_line

ROWS = [
    InstructionRow(
        "1", "Write a poem about rain", "", "Drip drop drip", source="a", licence="CC0", made={"by": "x"}
    ),
    InstructionRow(
        "2", "Write a poem about rain.", "", "Other words", source="a", made={"by": "x", "shots": 2}
    ),
    InstructionRow("3", "WRITE a poem about rain", "", " drip  DROP drip!", source="b", made={"model": "m"}),
    InstructionRow("4", text="翻译 this", source="b"),
]


def test_figures_of_four_rows() -> None:
    card = card_of(ROWS)
    assert (card["rows"], card["plain_texts"]) == (4, 1)
    assert card["sources"] == {"a": {"rows": 2, "share": 0.5}, "b": {"rows": 2, "share": 0.5}}
    assert card["licences"]["not stated"]["rows"] == 3
    assert card["duplicates"] == {"rows": 1, "same_instruction_and_input": 2}
    assert card["lengths"]["output"] == {"rows": 3, "mean": 2.7, "median": 3.0, "longest": 3}
    assert card["lengths"]["text"]["mean"] == 3.0, "two characters and a word"
    assert card["diversity"]["most_frequent"] == [{"verb": "write", "object": "poem", "rows": 3}]
    assert card["demonstrations"] == {"0": {"rows": 2, "share": 0.5}, "2": {"rows": 1, "share": 0.25}}


def test_a_median_between_two_lengths() -> None:
    assert Lengths.of({1: 1, 2: 1, 4: 1, 100: 1}) == Lengths(4, 26.75, 3.0, 100)
    assert Lengths.of({5: 3, 9: 2}).median == 5
    assert Lengths.of({}) == Lengths(0, 0.0, 0.0, 0)


def test_markdown_shows_data_as_text() -> None:
    about = {
        "rejects": {"rule": {"count": 1, "examples": ["<b>|x|</b> `c` [l](u)\n# h \x1b[31m"]}},
        "leaks": {},
    }
    text = to_markdown(card_of(ROWS, about), "a <i> | b")
    assert "a \\<i\\> \\| b" in text
    line = next(line for line in text.splitlines() if line.startswith("| rule | 1"))
    assert line == "| rule | 1 | \\<b\\>\\|x\\|\\</b\\> \\`c\\` \\[l\\](u) \\# h \\\\x1b\\[31m |"
    assert "No test set was named" in text


@pytest.mark.parametrize(
    ("instruction", "found"),
    [
        ("Please write a short story about a dog.", ("write", "story")),
        ("Can you classify the sentiment of this tweet?", ("classify", "sentiment")),
        ("Give three tips for better sleep", ("give", "tips")),
        ("What is the capital of France?", ("what", "capital")),
        ("Summarize.", ("summarize", "")),
        ("请写一篇关于春天的短文。", ("写", "短文")),
        ("把下面的句子翻译成英文", ("翻译", "句子")),
        ("请列出三种水果", ("列出", "水果")),
        ("1234", ("", "")),
    ],
)
def test_verb_and_object(instruction: str, found: tuple[str, str]) -> None:
    assert verb_and_object(instruction) == found


def test_a_row_is_its_line_again_and_says_how_often_it_stood_before() -> None:
    row = InstructionRow(
        "7", 'a "q"', "b\nc", "d", source="s", licence="l", made={"by": "x", "n": 1}, ids=("i", "j")
    )
    assert from_line(to_line(row)) == row
    assert from_line(to_line(row, 2)).id == "7~3"
    odd = InstructionRow("8", "half \ud800", "", "x")
    assert from_line(to_line(odd)) == odd
    assert to_line(odd).isascii()
