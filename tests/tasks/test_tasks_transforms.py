"""The named transforms, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.tasks.transforms import TAKES_ARGUMENT, TRANSFORMS, choices


def apply(name, value, argument=None, names=()):
    return TRANSFORMS[name](value, argument, names)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1,234", "1234"), ("$ 5.50", "5.5"), (145.0, "145"), ("-0.0", "0"), ("-3", "-3"), ("1e3", "1000"),
     (0, "0"), ("100.", "100"), ("0.16500", "0.165"), ("25%", "25")],
)  # fmt: skip
def test_number(value, expected):
    assert apply("number", value) == expected


@pytest.mark.parametrize("value", ["", "many", True, "nan", "inf", "3 or 4"])
def test_not_a_number(value):
    with pytest.raises(ValueError, match="is not a number"):
        apply("number", value)


@given(st.integers(-(10**12), 10**12))
def test_number_with_separators_is_the_number(n):
    assert apply("number", f"{n:,}") == str(n)
    assert apply("number", apply("number", f"{n:,}.00")) == str(n)


def test_text_around_a_separator():
    assert apply("before", "a #### b #### 3", "####") == "a #### b"
    assert apply("after", "a #### b #### 3", "####") == "3"
    assert apply("until", "no end", "####") == "no end"
    for name in ("before", "after"):
        with pytest.raises(ValueError, match="has no '####'"):
            apply(name, "nothing", "####")


def test_class_names_and_values():
    assert apply("class_names", 1, None, ["a", "b"]) == "b"
    assert apply("class_names", 1, ["x", "y"], ["a", "b"]) == "y"
    with pytest.raises(ValueError, match=r"class -1 is not in 0..1"):
        apply("class_names", -1, None, ["a", "b"])
    with pytest.raises(ValueError, match="carries none"):
        apply("class_names", 1)
    assert apply("values", 3, {"3": "three"}) == "three"
    with pytest.raises(ValueError, match="'4' is not among"):
        apply("values", 4, {"3": "three"})


def test_yes_no_letters_and_lists():
    assert [apply("yes_no", v) for v in (True, "No", 1, "FALSE")] == ["yes", "no", "yes", "no"]
    with pytest.raises(ValueError, match="neither"):
        apply("yes_no", "perhaps")
    assert [apply("letter", v) for v in ("(B)", "b.", 1, " C ")] == ["B", "B", "B", "C"]
    with pytest.raises(ValueError, match="not a letter"):
        apply("letter", "AB")
    assert apply("join", ["a", "b"]) == "a b"
    assert apply("join", "a") == "a"
    assert apply("strip_calculator", "2*3=<<2*3=6>>6") == "2*3=6"
    assert apply("strip_prefix", "Q: x", "Q:") == "x"


def test_options():
    assert apply("options_block", "Q?\nOptions:\n(A) one\n(B) two words") == {"A": "one", "B": "two words"}
    with pytest.raises(ValueError, match="no lines"):
        apply("options_block", "nothing")
    assert choices({"A": "one", "B": None, "C": "three"}) == {"A": "one", "C": "three"}
    assert choices(["A) alone", "then plain"]) == {"A": "alone", "B": "then plain"}
    assert choices({"text": ["x", "y"], "label": ["1", "2"]}) == {"1": "x", "2": "y"}
    for bad in (3, "plain text"):
        with pytest.raises(ValueError, match="not a mapping"):
            choices(bad)


def test_every_transform_is_described():
    assert set(TRANSFORMS) == set(TAKES_ARGUMENT)
    assert all(function.__doc__ for function in TRANSFORMS.values())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "value", ["1e888888888", "-2.5E777777777", "1e-666666666", "3e305", "9" * 5000, 10**400]
)
def test_a_number_nobody_could_answer_is_refused(value):
    with pytest.raises(ValueError, match=r"has more than 300 digits") as caught:
        apply("number", value)
    assert len(str(caught.value)) < 100
    assert apply("number", "1e3") == "1000"
