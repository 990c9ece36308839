"""rubric: qualities apart, expected places on scales by hand, files that are wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from icl.errors import ConfigError
from icl.experiments.graded import read_labelled, report
from icl.judges.rubric import Rubric
from icl.judging import Item
from icl.types import ScoreRequest

from .graded_by import asked, refuses, verdicts

FILE = """\
name: two
qualities:
  - {name: clear, question: 'How clear is it?', scale: [not, partly, very], weight: 3}
  - {name: kind, question: 'Is it kind?', scale: ['no', 'yes']}
"""
ITEM = Item("1", "Hi?", "Hello there.")


@pytest.fixture
def two(tmp_path: Path) -> str:
    path = tmp_path / "two.yaml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def says(prompt: str, letter: str) -> float:
    of = (0.1, 0.3, 0.6) if "How clear" in prompt else (0.8, 0.2)
    return math.log(of[ord(letter.strip()) - ord("A")]) - 5


def test_expected_places_and_no_single_number(two: str) -> None:
    (verdict,) = verdicts(Rubric(file=two), [ITEM], says)
    assert verdict.values == pytest.approx({"clear": 0.3 / 2 + 0.6, "kind": 0.2})
    assert verdict.score is None
    assert verdict.probabilities == pytest.approx(
        {"clear: not": 0.1, "clear: partly": 0.3, "clear: very": 0.6, "kind: no": 0.8, "kind: yes": 0.2}
    )
    assert verdict.margin == pytest.approx(0.3)
    assert not Rubric(file=two).single


def test_one_number_where_it_is_asked_for(two: str) -> None:
    (mean,) = verdicts(Rubric(file=two, overall="mean"), [ITEM], says)
    assert mean.score == pytest.approx((3 * 0.75 + 0.2) / 4)
    (least,) = verdicts(Rubric(file=two, overall="min"), [ITEM], says)
    assert least.score == pytest.approx(0.2)
    (alone,) = verdicts(Rubric(file=two, only=["clear"], overall="min"), [ITEM], says)
    assert alone.score == pytest.approx(0.75)


def test_what_is_asked(two: str) -> None:
    _, model = asked(Rubric(file=two), [ITEM], says)
    first, second = model.requests
    assert isinstance(first, ScoreRequest)
    assert isinstance(second, ScoreRequest)
    assert first.prompt == (
        "You rate answers. Read the question and the answer, and give a rating.\n\nQuestion: Hi?\n"
        "Answer: Hello there.\nHow clear is it?\nA. not\nB. partly\nC. very\nRating:"
    )
    assert (first.continuations, second.continuations) == ((" A", " B", " C"), (" A", " B"))


@pytest.mark.parametrize(
    ("name", "qualities"),
    [
        ("hhh", ["helpful", "honest", "harmless"]),
        ("webgpt", ["supported", "relevant", "coherent", "sound"]),
    ],
)
def test_shipped_rubrics(name: str, qualities: list[str]) -> None:
    (verdict,) = verdicts(Rubric(file=name), [ITEM], lambda prompt, letter: 0.0 if "A" in letter else -9.0)
    assert list(verdict.values) == qualities
    assert all(value < 0.01 for value in verdict.values.values()), "the first label is the worst"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nqualities: [{name: a, question: b, scale: [one]}]\n", r"x.yaml:2: qualities.0.scale"),
        ("name: x\nqualities: [{name: a, question: b, scale: [c, c]}]\n", r"has a label twice: c, c"),
        ("name: x\nqualities: [{name: a, question: b, scale: [c, d], weight: 0}]\n", "sum to zero"),
        ("name: x\nquality: []\n", r"unknown key 'quality'. Did you mean 'qualities'"),
    ],
)
def test_files_that_are_wrong(text: str, said: str, tmp_path: Path) -> None:
    refuses(Rubric, tmp_path / "x.yaml", text, said)


def test_violations_are_no_question_to_a_rubric() -> None:
    rows = read_labelled("violations")[:4]
    graded, _ = asked(Rubric(), [row.item for row in rows], lambda prompt, answer: -1.0)
    found = report(Rubric(), rows, graded)
    assert found.lines == (), "rules are held against a judge of rules alone"
    assert found.labels == {"graded": 4}


def test_names_that_are_wrong(two: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown quality of 'two' 'clean'. Did you mean 'clear'"):
        _ = Rubric(file=two, only=["clean"]).content
    with pytest.raises(ConfigError, match=r"unknown file of rubrics 'hh'. Did you mean 'hhh'"):
        _ = Rubric(file="hh").content
