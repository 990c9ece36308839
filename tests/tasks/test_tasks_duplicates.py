"""Normalisation and the duplicate index, against their definitions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.errors import ConfigError
from icl.tasks.duplicates import DuplicateIndex, _grams, normalise, overlap, words
from icl.types import Example, Query

WORDS = st.sampled_from(["the", "film", "was", "good", "bad", "very", "Its", "don't", "42", "很", "好看"])
SENTENCES = st.lists(WORDS, min_size=0, max_size=9).map(" ".join)


def example(text: str, name: str = "train-0") -> Example:
    return Example(name, {"text": text}, "x")


def pool_of(texts: list[str]) -> list[Example]:
    return [example(text, f"train-{index}") for index, text in enumerate(texts)]


@given(st.text())
def test_normalise_is_idempotent(text):
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_the_ascii_path_agrees_with_the_general_one(text):
    assert normalise(text + "\u00e9") == normalise(text + "\u00e9x")[:-1]
    general = normalise(text + "a\u00e9").removesuffix("\u00e9")
    assert normalise(text + "a") == general


@given(SENTENCES, st.sampled_from(["!", " ", " ... ", "\u3002", "\t", "\u00a0"]))
def test_case_punctuation_and_space_do_not_matter(text, tail):
    assert normalise(text.upper() + tail) == normalise(f"  {text}") or not text.strip()


def test_normalise_examples():
    assert normalise("It 's GOOD !") == normalise("it's good")
    assert normalise("\uff21\uff22\uff23") == "abc"
    assert normalise("\u4f60\u597d\uff0c\u4e16\u754c\u3002") == "\u4f60\u597d\u4e16\u754c"
    assert normalise("Stra\u00dfe") == "strasse"
    assert normalise("3 + 4") != normalise("3 < 4")
    assert normalise("?") != normalise("!")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 9 - 4?", "What is 9 * 4?"),
        ("What is 9 - 4?", "What is 9 / 4?"),
        ("2.5 litres", "25 litres"),
        ("Add -3 to 7", "Add 3 to 7"),
        ("1, 2 and 3", "12 and 3"),
        ("7 % of 20", "7 of 20"),
        ("true and (false or true)", "(true and false) or true"),
        ("At 10:30", "At 1030"),
        ("f[x]", "f(x)"),
        ("2**3", "2*3"),
        ("5 - (3 - 1)", "5 - 3 - 1"),
    ],
)
@pytest.mark.parametrize("threshold", [1.0, 0.999])
def test_punctuation_that_means_something_tells_apart(one, other, threshold):
    assert DuplicateIndex(pool_of([one]), threshold).matches(example(other, "q").query) == frozenset()


@pytest.mark.parametrize(
    ("one", "other"), [("1,000 men", "1000 men"), ("It is - well - good", "it is well, good")]
)
def test_other_punctuation_does_not(one, other):
    assert normalise(one) == normalise(other)


def test_choices_belong_to_an_item():
    stem = {"question": "Which is true?"}
    pool = [Example("a", stem, "A", {"A": "ice is hot", "B": "fire is hot"})]
    index = DuplicateIndex(pool)
    assert index.matches(Query("q", stem, {"A": "two is odd", "B": "three is odd"})) == frozenset()
    assert index.matches(Query("q", stem, {"A": "Fire is hot.", "B": "Ice is hot."})) == {"a"}
    near = DuplicateIndex(pool, 0.5)
    assert near.matches(Query("q", stem, {"A": "two is odd", "B": "three is odd"})) == frozenset()


def test_matches_finds_itself_and_its_copies_only():
    pool = pool_of(["A fine film.", "a FINE film", "A fine day.", "Nothing"])
    index = DuplicateIndex(pool)
    assert index.matches(Query("test-7", {"text": "a fine film!!"})) == {"train-0", "train-1"}
    assert index.matches(pool[2].query) == {"train-2"}
    assert index.matches(Query("train-3", {"text": "other words"})) == {"train-3"}
    assert index.matches(Query("test-1", {"text": "other words"})) == frozenset()


def _jaccard_by_definition(a: str, b: str) -> float:
    vocabulary: dict[str, int] = {}
    grams = []
    for text in (a, b):
        numbers = [vocabulary.setdefault(word, len(vocabulary) + 1) for word in words(text)]
        grams.append(_grams(numbers))
    union = grams[0] | grams[1]
    return len(grams[0] & grams[1]) / len(union) if union else 0.0


@given(st.lists(SENTENCES, min_size=1, max_size=12), SENTENCES, st.sampled_from([0.2, 0.34, 0.5, 0.8, 0.99]))
def test_near_duplicates_are_those_of_the_definition(texts, query, threshold):
    index = DuplicateIndex(pool_of(texts), threshold)
    expected = {
        f"train-{i}"
        for i, text in enumerate(texts)
        if normalise(text) == normalise(query) or _jaccard_by_definition(text, query) >= threshold - 1e-9
    }
    assert index.matches(Query("test-0", {"text": query})) == expected


def test_grams():
    assert len(_grams([1, 2, 3, 4])) == 2
    assert _grams([1, 2]) != _grams([2, 1])
    assert _grams([]) == set()
    assert words("Don't go, \u4f60\u597d!") == ["don", "t", "go", "\u4f60", "\u597d"]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ConfigError, match="must be in"):
        DuplicateIndex([], threshold)


def test_overlap_names_both_sides_in_their_order():
    test = [example("B!", "test-0"), example("a", "test-1"), example("b", "test-2")]
    hits = overlap(pool_of(["z", "b", "A?"]), test)
    assert hits == {"train-1": ("test-0", "test-2"), "train-2": ("test-1",)}
    assert list(hits) == ["train-1", "train-2"]


def test_a_large_pool_is_fast():
    """20,000 x 1,000 with Zipf-like words; an all-pairs comparison would take minutes."""
    rng = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(3000)]
    weights = 1 / np.arange(1, 3001)
    rows = rng.choice(3000, size=(20_000, 12), p=weights / weights.sum())
    texts = [" ".join(vocabulary[i] for i in row) for row in rows]
    start = time.process_time()
    index = DuplicateIndex(pool_of(texts), 0.7)
    found = [index.matches(Query("q", {"text": text + " extra"})) for text in texts[:1000]]
    assert all(f"train-{i}" in hit for i, hit in enumerate(found))
    assert time.process_time() - start < 60
