"""simpleqa: graded by labels or by strictly read text; figures by hand."""

from __future__ import annotations

import math

import pytest

from icl.errors import ConfigError
from icl.judges import create
from icl.judges.shared.grades import read_as_published, read_grade, wording
from icl.judges.simpleqa import SimpleQA
from icl.judging import Item
from icl.metrics.shared.attempts import Attempts, attempts
from icl.types import GenerateRequest, ScoreRequest

from .graded_by import asked, verdicts

HAMLET = Item("1", "Who wrote Hamlet?", "It was Shakespeare.", ("William Shakespeare",))
P = {" A": 0.7, " B": 0.2, " C": 0.1}


def test_labels_are_scored() -> None:
    graded, model = asked(SimpleQA(), [HAMLET], lambda prompt, letter: math.log(P[letter]) - 3)
    verdict = graded[0].verdict
    assert verdict.probabilities == pytest.approx({"correct": 0.7, "incorrect": 0.2, "not_attempted": 0.1})
    assert (verdict.label, verdict.score) == ("correct", 1.0)
    assert verdict.margin == pytest.approx(0.5)
    (request,) = model.requests
    assert isinstance(request, ScoreRequest)
    assert request.relative
    assert str(request.prompt).endswith(
        "\n\nQuestion: Who wrote Hamlet?\nReference: William Shakespeare\n"
        "Given answer: It was Shakespeare.\nGrade:"
    )


def test_a_planted_grader_finds_all_three() -> None:
    def knows(prompt: str, letter: str) -> float:
        given = prompt.rsplit("Given answer: ", 1)[1].partition("\n")[0]
        right = "A" if "Shakespeare" in given else "B" if "Marlowe" in given else "C"
        return -0.1 if letter == f" {right}" else -2.0

    answers = ("Shakespeare did", "Marlowe", "I do not know", "")
    items = [Item(str(at), HAMLET.question, text, HAMLET.golds) for at, text in enumerate(answers)]
    graded, model = asked(SimpleQA(), items, knows)
    found = [one.verdict for one in graded]
    assert [v.label for v in found] == ["correct", "incorrect", "not_attempted", "not_attempted"]
    assert [v.score for v in found] == [1.0, 0.0, 0.0, 0.0]
    assert found[3].flags == ("empty",)
    assert len(model.requests) == 3, "an empty answer asks nobody"


def test_chinese_by_the_language_of_the_item() -> None:
    item = Item("1", "《呐喊》是谁写的？", "鲁迅", ("鲁迅", "周树人"), language="zh-Hans")
    _, model = asked(SimpleQA(), [item])
    (request,) = model.requests
    assert isinstance(request, ScoreRequest)
    assert str(request.prompt).startswith("请为简短的事实问题")
    assert str(request.prompt).endswith(
        "问题：《呐喊》是谁写的？\n参考答案：鲁迅；周树人\n回答：鲁迅\n评分："
    )
    assert request.continuations == ("A", "B", "C")


def test_worked_examples_have_all_grades_in_both_languages() -> None:
    for language in ("en", "zh"):
        assert {letter for *_, letter in wording(language).examples} == {"A", "B", "C"}


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("A", "correct"),
        (" B.", "incorrect"),
        ("**C**\n\nThe answer says nothing.", "not_attempted"),
        ("(A)", "correct"),
        ("B: incorrect", "incorrect"),
        ("A - it says the same.", "correct"),
        ("Ｂ", "incorrect"),
        ("Grade: C", "not_attempted"),
        ("The grade is **B**.", "incorrect"),
        ("They differ, so the grade is B", "incorrect"),
        ("评分：A", "correct"),
        ("我认为答案是B。", "incorrect"),
        ("应该选C", "not_attempted"),
        ("According to the reference, this is right.", None),
        ("Because the answer is Correct", None),
        ("A lot of people would say so.", None),
        ("Grade: A lot of thought went into it", None),
        ("Can't say.", None),
        ("Grade: A. On second thoughts, grade: B", None),
        ("D", None),
        ("a", None),
        ("", None),
        ("grade: c", None),
        ("A/B", None),
        ("A, B or C", None),
        ("**A** or **B**", None),
        ("Grade: A/B", None),
        ("评分：A或B", None),
        ("A, because B is the reference's name for it", "correct"),
        ("B, a wrong name", "incorrect"),
        ("Answer: A, and a good one", "correct"),
    ],
)
def test_written_grades_are_read_strictly(text: str, grade: str | None) -> None:
    assert read_grade(text) == grade


def test_the_published_reading_errs_where_it_is_known_to() -> None:
    assert read_as_published("According to the reference, it is wrong: B") == "correct"
    assert read_as_published("no letter here") == "not_attempted"
    assert read_as_published("the grade is B") == "incorrect"


def test_what_cannot_be_read_is_no_grade() -> None:
    def writes(prompt: str, sample: int) -> str:
        return "According to the reference this is fine." if "Shakespeare." in prompt else "Grade: B"

    items = [HAMLET, Item("2", "Who wrote Hamlet?", "Marlowe", HAMLET.golds)]
    strict = verdicts(SimpleQA(read="text"), items, lambda p, c: 0.0, writes)
    assert [(v.label, v.score) for v in strict] == [(None, None), ("incorrect", 0.0)]
    assert strict[0].flags == ("unreadable",)
    assert strict[0].output == "According to the"  # 16 tokens, which are bytes here
    published = verdicts(SimpleQA(read="text", as_published=True), items, lambda p, c: 0.0, writes)
    assert [v.label for v in published] == ["correct", "incorrect"]


def test_text_is_greedy_and_short() -> None:
    _, model = asked(SimpleQA(read="text", max_tokens=4), [HAMLET])
    (request,) = model.requests
    assert isinstance(request, GenerateRequest)
    assert (request.temperature, request.max_tokens, request.n) == (0.0, 4, 1)


def test_figures_by_hand() -> None:
    counted = attempts(
        ["correct"] * 6 + ["incorrect"] * 3 + ["not_attempted"] * 3 + [None] * 5,
        ("correct", "incorrect", "not_attempted"),
    )
    assert counted == Attempts(6, 3, 3)
    co, wrong, na = counted.shares
    cga, f = counted.given_attempted, counted.f_score
    assert co is not None and wrong is not None and na is not None  # noqa: PT018
    assert cga is not None and f is not None  # noqa: PT018
    assert (co.value, wrong.value, na.value) == (0.5, 0.25, 0.25)
    assert cga.value == pytest.approx(2 / 3)
    assert f.value == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert f.low < f.value < f.high


def test_figures_without_attempts() -> None:
    none = Attempts(0, 0, 4)
    assert none.given_attempted is None
    assert none.f_score is not None
    assert none.f_score.value == 0
    assert Attempts(0, 0, 0).f_score is None
    assert Attempts(0, 0, 0).shares == (None, None, None)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match=r"as_published is true.*needs read: text"):
        create("simpleqa", {"as_published": True})
    with pytest.raises(ConfigError, match="read is 'txt'; allowed: labels, text"):
        create("simpleqa", {"read": "txt"})
