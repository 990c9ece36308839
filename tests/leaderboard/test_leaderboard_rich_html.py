"""What a notebook shows: the numbers of the table, and nothing of a text that is not text."""

from __future__ import annotations

import html
import re

import pytest

from icl.api import Shown
from icl.experiments.records import Cell
from icl.leaderboard import leaderboard
from icl.leaderboard.rich_html import board_html
from icl.types import Example, Prediction, Prompt, Query, Task, Template
from tests.leaderboard.cells import board_cells, cell

BAD = "<script>alert(1)</script> & \x1b[31mred"


def text_of(piece: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", piece, flags=re.S)))


def test_a_board_shows_what_the_table_does():
    board = leaderboard(board_cells(), compare_to="random", resamples=200)
    piece = board._repr_html_()
    assert piece.count("<tr") == 1 + len(board.rows)
    words = " ".join(text_of(piece).split())
    for row in board.rows:
        for column in board.columns:
            assert " ".join(column.show(row).split()) in words
    assert all(" ".join(line.split()) in words for line in board.footer)


def test_names_of_components_cannot_be_markup():
    piece = board_html(leaderboard([cell(BAD), cell("knn")], resamples=50))
    assert "<script" not in piece
    assert "&lt;script&gt;" in piece
    assert "\x1b" not in piece
    assert r"\x1b[31m" in piece


@pytest.fixture
def shown():
    example = Example("p<b>1", {"text": BAD}, "good<i>")
    query = Query("q1", {"text": "the query"})
    text = f"Say.\n\nText: {BAD}\nLabel: good<i>\n\nText: the query\nLabel:"
    return Shown(
        cell=Cell("m", "t", BAD, 1, "o", "d", 0),
        prediction=Prediction(
            "q1",
            (("p<b>1", 0.25),),
            "good<i>",
            "bad",
            False,
            output=BAD * 2000,
            label_scores={"good<i>": -0.5, "bad": -1.5},
            why=({"sim": 0.25, "text": BAD},),
            flags=("near_tie",),
        ),
        prompt=Prompt(text, ("p<b>1",), tokens=9),
        examples=(example,),
        query=query,
        task=Task("t", "classification", Template("Text: {{ text }}\nLabel:"), ("text",), instruction="Say."),
        notes=(BAD,),
    )


def test_a_prediction_is_shown_as_text(shown):
    piece = shown._repr_html_()
    assert re.findall(r"<(script|b|i)\b", piece) == []
    assert "\x1b" not in piece
    words = text_of(piece)
    assert "Text: the query" in words
    assert "characters in all" in words
    assert "0.731" in words  # softmax of -0.5 against -1.5
    kinds = re.findall(r'<span class="(\w+)">', piece.split("<pre>")[1])
    assert kinds[:3] == ["instruction", "d0", "query"]


def test_an_answer_that_could_not_be_read_is_said(shown):
    from dataclasses import replace

    lost = replace(shown, prediction=replace(shown.prediction, answer=None))
    assert "no answer could be read" in lost._repr_html_()
