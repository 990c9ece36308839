"""contains: golds that stand in answers, in English and Chinese, and real rows against themselves."""

from __future__ import annotations

import pytest

from icl.metrics.contains import Contains
from icl.types import Task, Template

ENGLISH = Task("q", "string", Template("{{ text }}"), ("text",))
CHINESE = Task("q", "string", Template("{{ text }}"), ("text",), language="zh")


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("It was Oslo, I think.", "oslo", 1),
        ("The answer is Ｏｓｌｏ", "Oslo", 1),
        ("In 2012", "12", 0),
        ("12.5 metres", "12", 0),
        ("12. That is all", "12", 1),
        ("1,234 people", "1234", 1),
        ("in this category", "cat", 0),
        ("David Brewster did", "David Brewster (大卫·布儒斯特)", 1),
        ("大卫·布儒斯特", "David Brewster (大卫·布儒斯特)", 1),
        ("not Paris but Rome", "Paris", 1),
        (None, "Paris", 0),
        ("anything", "?", 0),
    ],
)
def test_english(answer: str | None, gold: str, score: float) -> None:
    assert Contains().score(answer, gold, ENGLISH) == score


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("这本书是《广角镜》。", "《广角镜》", 1),
        ("广角镜", "《广角镜》", 1),
        ("共有三百二十人", "320", 1),
        ("共有３２０人", "320", 1),
        ("大约两千年前", "2000年", 1),
        ("1994年", "1994", 1),
        ("1994", "1994年", 1),
        ("一九九四年", "1994年", 1),
        ("2014年1月", "2014", 1),
        ("2014", "2014年1月24日", 0),
        ("二〇一四年一月二十四日", "2014年1月24日", 1),
        ("1 月 24 日，2014年", "1月24日", 1),
        ("四种", "4种", 1),
        ("百分之三十九", "39%", 1),
        ("第三届", "第3届", 1),
        ("十三", "3", 0),
        ("足阳明胃经脉", "足阳明胃经", 1),
        ("不知道", "麻黄", 0),
    ],
)
def test_chinese(answer: str, gold: str, score: float) -> None:
    assert Contains().score(answer, gold, CHINESE) == score


def test_numerals_are_words_in_other_languages() -> None:
    assert Contains().score("三百二十", "320", ENGLISH) == 0
