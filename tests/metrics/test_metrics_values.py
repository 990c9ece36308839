"""Metrics against cases worked by hand, and what holds for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from icl.metrics.shared.mean import once_each
from icl.metrics.token_f1 import tokens
from icl.protocols import metrics
from icl.types import Task, Template


def task(kind, labels=()):
    return Task("t", kind, Template(query="{{ x }}"), ("x",), labels)


ABC = task("classification", ("a", "b", "c"))


def value(name, answers, golds, asked):
    return metrics.create(name).aggregate(answers, golds, asked)


def test_all_four_are_registered():
    assert {"accuracy", "exact_match", "macro_f1", "token_f1"} <= set(metrics)


def test_accuracy():
    assert value("accuracy", ["a", "b", None, "a"], ["a", "c", "b", "a"], ABC) == 0.5
    assert value("accuracy", ["72", "1/2", "3"], ["72.0", "0.5", "4"], task("numeric")) == pytest.approx(
        2 / 3
    )


def test_macro_f1_by_hand():
    # a: 2 hits, said 3, true 2 -> 4/5; b: 0 hits; c: 1 hit, said 1, true 2 -> 2/3
    answers, golds = ["a", "a", "c", "a", None], ["a", "a", "c", "c", "b"]
    assert value("macro_f1", answers, golds, ABC) == pytest.approx((4 / 5 + 0 + 2 / 3) / 3)


def test_macro_f1_leaves_out_what_never_occurs():
    assert value("macro_f1", ["a", "b"], ["a", "b"], ABC) == 1.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_macro_f1_is_scikit_learns(pairs):
    answers, golds = map(list, zip(*pairs, strict=True))
    assert value("macro_f1", answers, golds, ABC) == pytest.approx(f1_score(golds, answers, average="macro"))


def test_exact_match_is_strict_but_for_case_width_and_white_space():
    string = task("string")
    assert (
        value("exact_match", ["Ant  Bee", "ａnt", "ant.", None], ["ant bee", "ant", "ant", "ant"], string)
        == 0.5
    )
    assert value("exact_match", ["72"], ["72.0"], task("string")) == 0.0
    assert value("exact_match", ["72"], ["72.0"], task("numeric")) == 1.0


@pytest.mark.parametrize(
    ("answer", "gold", "f1"),
    [
        ("the red car", "a red car", 1.0),
        ("red car", "blue car", 0.5),
        ("red car car", "car", 0.5),
        ("脾胃论", "《脾胃论》", 1.0),
        ("北京", "北海", 0.5),
        ("The", "a", 1.0),
        ("the", "car", 0.0),
        (None, "car", 0.0),
    ],
)
def test_token_f1(answer, gold, f1):
    assert metrics.create("token_f1").score(answer, gold, task("string")) == pytest.approx(f1)


def test_token_f1_tokens():
    assert tokens("The U.S.A., an apple-pie!") == ["usa", "applepie"]


@pytest.mark.parametrize("name", ["accuracy", "exact_match", "macro_f1", "token_f1"])
def test_undefined_cases_are_refused(name):
    with pytest.raises(ValueError, match="2 answers for 1"):
        value(name, ["a", "b"], ["a"], ABC)
    with pytest.raises(ValueError, match="no answers"):
        value(name, [], [], ABC)


@given(
    name=st.sampled_from(["accuracy", "exact_match", "macro_f1", "token_f1"]),
    pairs=st.lists(st.tuples(st.none() | st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=8),
    kind=st.sampled_from(["numeric", "string", "classification"]),
)
def test_scores_lie_between_zero_and_one(name, pairs, kind):
    answers, golds = map(list, zip(*pairs, strict=True))
    metric = metrics.create(name)
    assert 0 <= metric.aggregate(answers, golds, task(kind)) <= 1
    for answer, gold in pairs:
        assert 0 <= metric.score(answer, gold, task(kind)) <= 1
        assert metric.score(None, gold, task(kind)) == 0
    assert metric.aggregate(golds, golds, task("string")) == 1


def test_a_pair_that_returns_is_scored_once():
    task = Task("made", "string", Template(""), ("text",))
    asked = []

    def score(answer: str | None, gold: str, task: Task) -> float:
        asked.append((answer, gold))
        return 0.0 if answer is None else len(answer) / 10

    once = once_each(score)
    pairs = [("ab", "x"), (None, "x"), ("ab", "y"), ("ab", "x"), (None, "x")]
    assert [once(a, g, task) for a, g in pairs] == [0.2, 0.0, 0.2, 0.2, 0.0]
    assert asked == pairs[:3]
