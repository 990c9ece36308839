"""Rows by rules out of plain text, in English and Chinese, on texts worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl.errors import ConfigError, DataError
from icl.instructions.contract import row_generators
from icl.instructions.plain_text import maskable, names, sentences
from tests.instructions.conftest import jsonl

STORM = (
    "A storm hit the coast on Monday night. Boats in the port of Hamburg were torn loose. "
    "The mayor said that Peter Lang would lead the repairs."
)
FAIR = (
    "The book fair opened with a wonderful speech. Visitors from Paris praised the charming halls. "
    "Critics called Anna Berg a brilliant host."
)
ZH = (
    "昨天的音乐会非常精彩，观众都很满意。大家尤其喜欢《黄河》的演出，"
    "音乐会结束后掌声不断。主办方表示2020年还会再来。"
)
TEXTS = [
    {"text": STORM, "title": "Storm on the coast"},
    {"text": FAIR},
    {"text": "Short one."},
    {"text": ZH, "title": "音乐会"},
]


@pytest.fixture
def texts(tmp_path: Path) -> str:
    jsonl(tmp_path / "texts.jsonl", *TEXTS)
    return "texts.jsonl"


def test_sentences_end_where_they_do() -> None:
    assert sentences('Dr. Smith came. He said: "Go!" Then e.g. Ann left? No.') == [
        "Dr. Smith came.",
        'He said: "Go!"',
        "Then e.g. Ann left?",
        "No.",
    ]
    assert sentences("他说：“走吧！”然后走了。她没有走。\n再见") == [
        "他说：“走吧！”",
        "然后走了。",
        "她没有走。",
        "再见",
    ]


def test_names_and_words_that_may_be_masked() -> None:
    assert names("Yesterday Peter Lang met the Mayor of Bonn in Paris.") == [
        "Peter Lang",
        "Mayor of Bonn",
        "Paris",
    ]
    assert names("他在1998年读了《红楼梦》。") == ["1998年", "红楼梦"]
    assert maskable("the storm and the other storm broke boats", "") == ["other", "broke", "boats"]
    assert maskable("音乐会很好", "音乐会很好，音乐不错") == ["音乐"]


def test_titles_and_leads(make, texts: str) -> None:
    rows = make("heuristic", {"path": texts, "rules": ["title", "summary"]}).rows
    by_rule = {(row.ids[0], row.made["template"]): row for row in rows}
    assert by_rule["texts.jsonl:0", "title"].output == "Storm on the coast"
    assert by_rule["texts.jsonl:0", "title"].input == STORM
    lead = by_rule["texts.jsonl:1", "summary"]
    assert lead.output == "The book fair opened with a wonderful speech."
    assert lead.input == FAIR[len(lead.output) + 1 :]
    assert ("texts.jsonl:1", "title") not in by_rule, "there is none"
    assert "标题" in by_rule["texts.jsonl:3", "title"].instruction


def test_a_gap_has_the_word_that_was_there(make, texts: str) -> None:
    rows = make("heuristic", {"path": texts, "rules": ["cloze"]}).rows
    assert {row.ids[0] for row in rows} == {"texts.jsonl:0", "texts.jsonl:1", "texts.jsonl:3"}
    for row in rows:
        assert row.input.count("____") == 1
        text = TEXTS[int(row.ids[0].rpartition(":")[2])]["text"]
        assert row.input.replace("____", row.output) in text


def test_an_entity_stands_among_three_from_elsewhere(make, texts: str) -> None:
    for seed in range(5):
        rows = make("heuristic", {"path": texts, "rules": ["entity"]}, seed=seed).rows
        for row in rows:
            sentence, *choices = row.input.split("\n")
            text = TEXTS[int(row.ids[0].rpartition(":")[2])]["text"]
            assert sentence.replace("____", row.output) in text
            found = [choice.removeprefix("- ") for choice in choices]
            assert len(set(found)) == 4
            assert [name for name in found if name in text] == [row.output]


def test_orders_are_right_as_often_as_not_and_labelled_truly(make, tmp_path: Path) -> None:
    jsonl(
        tmp_path / "many.jsonl",
        *({"text": f"The {i}. cat sat down here. It then ran {i} miles away."} for i in range(200)),
    )
    rows = make("heuristic", {"path": "many.jsonl", "rules": ["order", "follows"]}).rows
    for rule in ("order", "follows"):
        answers = [row.output for row in rows if row.made["template"] == rule]
        assert len(answers) == 200
        assert 70 < answers.count("yes") < 130
    for row in rows:
        first, second = (line.partition(" ")[2] for line in row.input.split("\n"))
        text = f"{first} {second}"
        number = int(row.ids[0].rpartition(":")[2])
        assert (row.output == "yes") == (
            text == f"The {number}. cat sat down here. It then ran {number} miles away."
        )


def test_sentiment_needs_a_clear_lead(make, tmp_path: Path) -> None:
    jsonl(
        tmp_path / "s.jsonl",
        {"text": "A wonderful and charming film"},
        {"text": "A dull, tedious film"},
        {"text": "A wonderful, charming, dull film"},
        {"text": "A wonderful film"},
        {"text": "精彩又感人的电影"},
        {"text": "无聊又乏味的电影"},
    )
    made = make("heuristic", {"path": "s.jsonl", "rules": ["sentiment"]})
    assert [(row.ids[0][-1], row.output) for row in made.rows] == [
        ("0", "positive"),
        ("1", "negative"),
        ("4", "正面"),
        ("5", "负面"),
    ]
    assert made.rules == ["sentiment: does not fit"] * 2


def test_texts_are_drawn_by_the_seed_and_rows_of_a_text_stay(make, texts: str) -> None:
    every = {row.id: row for row in make("heuristic", {"path": texts}).rows}
    some = make("heuristic", {"path": texts, "texts": 2}).rows
    assert len({row.ids[0] for row in some}) <= 2
    assert all(every[row.id] == row for row in some)


def test_what_is_wrong_is_said(make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown rule 'titel'\. Did you mean 'title'"):
        row_generators.create("heuristic", {"path": "x", "rules": ["titel"]})
    jsonl(tmp_path / "bad.jsonl", {"text": "a"}, {"txt": "b"})
    with pytest.raises(DataError, match=r"bad.jsonl:2: has no text: its keys are txt"):
        make("heuristic", {"path": "bad.jsonl"})
