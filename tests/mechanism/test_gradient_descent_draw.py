"""Which examples are shown and trained on, and the control with shuffled labels."""

from __future__ import annotations

from collections import Counter

import numpy as np

from icl.mechanism.shared.gradient_descent.draw import drawn
from icl.mechanism.shared.labelled import shuffled_labels
from icl.types import Example


def examples(count: int, labels: str = "ab") -> list[Example]:
    return [Example(str(at), {"text": str(at)}, labels[at % len(labels)]) for at in range(count)]


def test_no_example_stands_in_two_parts_and_labels_take_turns() -> None:
    made = drawn(examples(60, "aaaab"), "ab", 8, 10, np.random.default_rng(0))
    parts = [*made.shown, *made.others, *made.validation]
    assert len({example.id for example in parts}) == len(parts) == 26
    assert Counter(example.target for example in made.shown) == {"a": 4, "b": 4}
    assert [example.id for example in made.shuffled] == [example.id for example in made.shown]


def test_shuffled_labels_are_those_of_the_others_and_wrong_as_often_as_by_chance() -> None:
    given = examples(12, "abc")
    made = shuffled_labels(given, np.random.default_rng(0))
    assert Counter(e.target for e in made) == Counter(e.target for e in given)
    assert sum(a.target != b.target for a, b in zip(made, given, strict=True)) == 8
    assert [e.inputs for e in made] == [e.inputs for e in given]


def test_what_is_drawn_depends_on_the_stream() -> None:
    one, again, other = (drawn(examples(60), "ab", 8, 10, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == again
    assert one.shown != other.shown
