"""rules: planted violations are found, scores by hand, what the head shares, files that are wrong."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.judging import counted
from icl.errors import ConfigError
from icl.experiments.graded import ANY, read_labelled, report
from icl.judges.rules import Rules
from icl.judging import Item
from icl.types import ScoreRequest

from .graded_by import asked, refuses, verdicts

TWO = """\
name: two
rules:
  - {name: short, rule: At most three words., weight: 3}
  - {name: calm, rule: No exclamation mark., question: 'Is there an exclamation mark?', threshold: 0.9}
"""
ROWS = read_labelled("violations")
BROKEN = {(row.item.question, row.item.answer): row.violated for row in ROWS}
RULES = {rule.rule: rule.name for rule in Rules().rules}


@pytest.fixture
def two(tmp_path: Path) -> str:
    path = tmp_path / "two.yaml"
    path.write_text(TWO, encoding="utf-8")
    return str(path)


def lines_of(prompt: str) -> dict[str, str]:
    """What stands behind Question, Answer and Rule in the question that is asked."""
    parts = [line.partition(": ") for line in prompt.rsplit("\n\n", 1)[1].splitlines()]
    return {head: text for head, colon, text in parts if colon}


def knows(prompt: str, answer: str) -> float:
    """A model to which every broken rule of the bundled rows is known, and nothing else."""
    told = lines_of(prompt)
    broken = RULES[told["Rule"]] in (BROKEN[told["Question"], told["Answer"]] or ())
    return -0.2 if (answer == " yes") == broken else -1.7


@pytest.mark.parametrize("order", ["answer_first", "rules_first"])
def test_planted_violations_are_found(order: str) -> None:
    judge = Rules(order=order)
    graded, _ = asked(judge, [row.item for row in ROWS], knows)
    found = report(judge, ROWS, graded)
    assert [line.name for line in found.lines] == [*RULES.values(), ANY]
    assert all(line.right is not None and line.right.value == 1 for line in found.lines)
    assert all(line.kappa is not None and line.kappa.value == 1 and line.area == 1 for line in found.lines)
    assert found.labels == {"kept": 60, "broken": 60}
    assert graded[1].verdict.reasons == ("polite",)


def test_a_model_that_knows_nothing_is_seen_to() -> None:
    judge = Rules()
    graded, _ = asked(judge, [row.item for row in ROWS], lambda prompt, answer: -1.0)
    found = report(judge, ROWS, graded)
    assert all(line.area == 0.5 and line.kappa is not None for line in found.lines[:-1])
    assert all(line.kappa.value == 0 for line in found.lines if line.kappa)  # yes to all: threshold 0.5
    assert found.flags == {"near_tie": 120}


def test_the_bundled_rows_are_balanced() -> None:
    assert len(ROWS) == 120
    broken = Counter(name for row in ROWS for name in row.violated or ())
    assert broken == dict.fromkeys(RULES.values(), 8)
    pairs = Counter(row.item.question for row in ROWS)
    assert set(pairs.values()) == {2}, "each question once kept, once broken"
    assert len({row.item.answer for row in ROWS}) == 120


def test_score_probabilities_and_margin_by_hand(two: str) -> None:
    def says(prompt: str, answer: str) -> float:
        yes = {"At most three words.": 0.4, "No exclamation mark.": 0.8}[lines_of(prompt)["Rule"]]
        return math.log(yes if answer == " yes" else 1 - yes)

    (verdict,) = verdicts(Rules(file=two), [Item("1", "Hi?", "Go away now please!")], says)
    assert verdict.probabilities == pytest.approx({"short": 0.4, "calm": 0.8})
    assert (verdict.label, verdict.score, verdict.reasons) == ("kept", 1.0, ())
    assert verdict.margin == pytest.approx(0.1)  # of both: 0.5 - 0.4 and 0.9 - 0.8
    (lower,) = verdicts(Rules(file=two, threshold=0.3), [Item("1", "Hi?", "Go away now please!")], says)
    assert (lower.label, lower.score, lower.reasons) == ("broken", 0.25, ("short",))


def test_the_prompt_and_its_answers(two: str) -> None:
    _, model = asked(Rules(file=two, only=["calm"]), [Item("1", "Hi?", "Go!")])
    assert model.requests == [
        ScoreRequest(
            "You check answers against rules. For each answer and rule say whether the answer breaks the "
            "rule.\n\nQuestion: Hi?\nAnswer: Go!\nRule: No exclamation mark.\n"
            "Is there an exclamation mark?\nBroken:",
            (" yes", " no"),
            relative=True,
        )
    ]
    _, model = asked(Rules(file=two, only=["calm"], chat=True), [Item("1", "Hi?", "Go!")])
    (request,) = model.requests
    assert isinstance(request, ScoreRequest)
    assert str(request.prompt).startswith("<user>You check")
    assert str(request.prompt).endswith("Broken:</user><assistant>")
    assert request.continuations == ("yes", "no")


def test_a_chinese_file_is_asked_in_chinese(tmp_path: Path) -> None:
    path = tmp_path / "zh.yaml"
    path.write_text(
        "name: zh\nlanguage: zh\nrules: [{name: polite, rule: 回答要有礼貌。}]\n", encoding="utf-8"
    )
    _, model = asked(Rules(file=str(path)), [Item("1", "几点了？", "三点。")])
    (request,) = model.requests
    assert str(request.prompt).endswith(
        "问题：几点了？\n回答：三点。\n规则：回答要有礼貌。\n该回答是否违反了这条规则？\n违反："
    )
    assert isinstance(request, ScoreRequest)
    assert request.continuations == ("是", "否")


def test_what_does_not_fit_is_counted_apart(two: str) -> None:
    items = [Item("1", "Hi?", "Go!"), Item("2", "Hi?", "a" * 400)]
    judge = Rules(file=two)
    graded, model = asked(judge, items, None, None, 300)
    assert graded[0].verdict.label is not None
    assert (graded[1].verdict.label, graded[1].verdict.score) == (None, None)
    assert graded[1].verdict.flags == ("too_long",)
    assert len(model.requests) == 2


@pytest.mark.parametrize("order", ["answer_first", "rules_first"])
def test_eight_rules_share_their_heads(order: str) -> None:
    used = counted(order, "fake", 60)
    assert used.requests == 480
    assert used.tokens_flat >= 4 * used.tokens_unique


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nrules: []\n", r"x.yaml:2: rules is empty$"),
        (
            "name: x\nrules: [{name: a, rule: b, wieght: 1}]\n",
            r"x.yaml:2: unknown key 'rules.0.wieght'. Did you mean 'weight'\?",
        ),
        (
            "name: x\nrules: [{name: a, rule: b, threshold: 2}]\n",
            r"x.yaml:2: rules.0.threshold is 2: must be less than or equal to 1$",
        ),
        ("name: x\nrules: [{name: a, rule: b, weight: 0}]\n", r"weights of all 1 rules sum to zero"),
        ("name: x\nrules: [{name: a, rule: b}, {name: a, rule: c}]\n", r"rule 'a' is there twice"),
        (
            "name: x\nlanguage: fr\nrules: [{name: a, rule: b}]\n",
            r"x.yaml:2: language is 'fr': must be 'en' or 'zh'",
        ),
        (
            "name: x\nrules: [{name: polite, rule: b}]\n"
            "examples: [{question: q, answer: a, rule: polit, broken: true}]\n",
            r"unknown rule 'polit'. Did you mean 'polite'",
        ),
        ("- a\n", r"x.yaml: must hold a mapping"),
    ],
)
def test_files_that_are_wrong(text: str, said: str, tmp_path: Path) -> None:
    refuses(Rules, tmp_path / "x.yaml", text, said)


def test_names_that_are_wrong(two: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown file of rules 'hous'. Did you mean 'house'"):
        _ = Rules(file="hous").content
    with pytest.raises(ConfigError, match=r"no such file of rules; shipped are: house"):
        _ = Rules(file="mine.yaml").content
    with pytest.raises(ConfigError, match=r"only: unknown rule of 'two' 'calmer'. Did you mean 'calm'"):
        _ = Rules(file=two, only=["calmer"]).content
