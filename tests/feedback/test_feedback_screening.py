"""Annotators held against a reference, and never scored on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl.errors import DataError
from icl.feedback import Settings, report
from icl.feedback.resampling import Bootstrap
from icl.feedback.screening import screen

from .rows import rated, read, vote

QUICK = Bootstrap(100)


def votes(annotator: str, said: str) -> list[dict[str, object]]:
    """One letter an item: a, b, t for tie."""
    words = {"a": "a", "b": "b", "t": "tie"}
    return [vote(f"q{at}", annotator, words[letter]) for at, letter in enumerate(said) if letter != "."]


def reference(tmp_path: Path, said: str = "aabb"):
    return read(tmp_path, votes("gold", said), "gold.jsonl")


def test_who_agrees_is_kept_and_scored_on_other_items_only(tmp_path: Path) -> None:
    """ann and bob agree with the reference (4 and 3 of 4), cat with 1 of 4; on the other items ann and bob
    agree on 1 of 3. Were items of the reference counted, it would be 4 of 7."""
    rows = [*votes("ann", "aabbaaa"), *votes("bob", "aabaabb"), *votes("cat", "bbabaaa")]
    found = report(read(tmp_path, rows), Settings(QUICK, least=0.75), reference(tmp_path))
    assert [(a.annotator, a.items, a.same.value, a.kept, a.left) for a in found.screening.annotators] == [
        ("ann", 4, 1.0, True, 3),
        ("bob", 4, 0.75, True, 3),
        ("cat", 4, 0.25, False, 3),
    ]
    assert found.screening.items == 4
    assert found.feedback.items == ("q4", "q5", "q6")
    assert found.feedback.annotators == ("ann", "bob")
    assert found.agreement[0].same.value == pytest.approx(1 / 3)
    assert {c.item for c in found.comparisons} == {"q4", "q5", "q6"}


def test_nobody_is_kept_without_an_item_of_the_reference(tmp_path: Path) -> None:
    rows = [*votes("ann", "aabbaa"), *votes("new", "....aa")]
    told, rest = screen(read(tmp_path, rows), reference(tmp_path), QUICK)
    assert [(a.annotator, a.same is None, a.kept) for a in told.annotators] == [
        ("ann", False, True),
        ("new", True, False),
    ]
    assert rest.annotators == ("ann",)


def test_values_of_a_scale_may_be_near_enough(tmp_path: Path) -> None:
    feedback = read(tmp_path, [rated(f"q{at}", "ann", at + 1) for at in range(4)])
    gold = read(tmp_path, [rated(f"q{at}", "gold", at) for at in range(3)], "gold.jsonl")
    with pytest.raises(
        DataError, match=r"none of 1 annotators says the same .* in 0.75 of the cases; the nearest"
    ):
        screen(feedback, gold, QUICK)
    told, rest = screen(feedback, gold, QUICK, within=1.0)
    assert told.annotators[0].same.value == 1.0
    assert rest.items == ("q3",)


@pytest.mark.parametrize(
    ("rows", "gold", "error"),
    [
        (votes("ann", "aab"), [rated("q0", "gold", 1)], "gold.jsonl: is of kind scale, and"),
        (votes("ann", "aab"), [vote("Q0", "gold", "a")], "(its first is 'Q0'). Did you mean 'q"),
        (
            votes("ann", "aab"),
            [*votes("gold", "a"), *votes("other", "b")],
            "gold.jsonl:2: the reference says 'second'",
        ),
        (votes("ann", "aab"), votes("gold", "aab"), "the annotators that are kept annotated items of"),
    ],
)
def test_what_cannot_be_screened_is_said(tmp_path: Path, rows, gold, error: str) -> None:
    with pytest.raises(DataError) as raised:
        screen(read(tmp_path, rows), read(tmp_path, gold, "gold.jsonl"), QUICK)
    assert error in str(raised.value)
