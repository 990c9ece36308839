"""ROUGE-L by hand, in Chinese too, and the filter against comparing all pairs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl.instructions.similarity import SimilarityIndex, lcs_length, rouge_l, rouge_words

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "天", "气", "e"]), max_size=12).map(" ".join)


def by_all_pairs(kept: list[str], text: str, threshold: float) -> bool:
    own = rouge_words(text)
    return any(rouge_l(own, rouge_words(other)) > threshold for other in kept)


def test_words_are_those_of_rouge_score_for_english_and_characters_for_chinese() -> None:
    assert rouge_words("Write a 3-line poem, don't rhyme!") == [
        "write",
        "a",
        "3",
        "line",
        "poem",
        "don",
        "t",
        "rhyme",
    ]
    assert rouge_words("写一首 haiku 诗。") == ["写", "一", "首", "haiku", "诗"]
    assert rouge_words("Straße_2 été") == ["straße", "2", "été"]


def test_f_by_hand() -> None:
    one, other = ["police", "killed", "the", "gunman"], ["the", "gunman", "police", "killed"]
    assert lcs_length(one, other) == 2
    assert rouge_l(one, other) == 2 * 2 / 8
    assert rouge_l(["police", "kill", "the", "gunman"], one) == 0.75
    assert rouge_l([], one) == 0.0


def test_the_border_itself_is_kept() -> None:
    index = SimilarityIndex(["a b c d e f g x y z"])  # 7 of 10 in common: F = 0.7, not above
    assert index.too_like("a b c d e f g q r s") is None
    assert index.too_like("a b c d e f g x r s") == 0


def test_chinese_instructions_that_are_alike_are_found() -> None:
    index = SimilarityIndex(["请写一首关于春天的诗", "把这句话翻译成英文"])
    assert index.too_like("请写一首关于秋天的诗") == 0
    assert index.too_like("请解释什么是光合作用") is None


def test_a_text_without_words_is_like_nothing() -> None:
    index = SimilarityIndex(["...", "a b"])
    assert index.too_like("!?") is None
    assert index.add_if_new("...")
    assert len(index) == 3


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=12), WORDS, st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 1.0]))
def test_the_decision_is_that_of_all_pairs(kept: list[str], text: str, threshold: float) -> None:
    index = SimilarityIndex(kept, threshold)
    found = index.too_like(text)
    assert (found is not None) == by_all_pairs(kept, text, threshold)
    if found is not None:
        assert rouge_l(rouge_words(text), rouge_words(kept[found])) > threshold


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=25))
def test_a_stream_keeps_what_all_pairs_would_keep(texts: list[str]) -> None:
    index, kept = SimilarityIndex(), list[str]()
    for text in texts:
        new = not by_all_pairs(kept, text, 0.7)
        assert index.add_if_new(text) == new
        kept += [text] if new else []


def test_the_threshold_is_checked() -> None:
    with pytest.raises(ValueError, match="threshold is 7"):
        SimilarityIndex(threshold=7)
