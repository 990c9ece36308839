"""Self-BLEU by hand, and against sacrebleu text by text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from icl.instructions.similarity import rouge_words
from icl.redteam.bleu import self_bleu


def test_three_texts_by_hand() -> None:
    found = self_bleu(["the cat sat on the mat", "the cat sat on a mat", "dogs bark"])
    # the first: words the (2, clipped to 1 of the second), cat, sat, on, mat: 5 of 6; pairs "the cat",
    # "cat sat", "sat on": 3 of 5; 2 of 4 threes; 1 of 3 fours; the closest other has 6 words
    first = (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    # the second: the, cat, sat, on, mat: 5 of 6; the same 3 of 5, 2 of 4, 1 of 3. The third shares nothing
    assert found == pytest.approx(100 * (first + first + 0) / 3)


def test_short_and_smoothed_texts_by_hand() -> None:
    # "a b" by "b a c" alone: words 2 of 2, pairs 0 of 1, smoothed to 1/2; threes and fours it has none; its
    # length 2 is below 3. "b a c": 2 of 3, pairs 0 of 2 -> 1/4, threes 0 of 1 -> 1/4, fours none
    one = math.exp(1 - 3 / 2) * math.sqrt(1 * 1 / 2)
    other = (2 / 3 * 1 / 4 * 1 / 4) ** (1 / 3)
    assert self_bleu(["a b", "b a c"]) == pytest.approx(100 * (one + other) / 2)


def test_equal_texts_score_100_and_unlike_ones_0() -> None:
    assert self_bleu(["Who are you today, friend?"] * 3) == pytest.approx(100)
    assert self_bleu(["a b c d", "e f g h"]) == 0
    assert self_bleu(["只有一个"]) is None
    assert self_bleu(["今天天气怎么样？", "今天天气怎么样"]) == pytest.approx(100)
    assert self_bleu(["?", "!"]) == 0


def test_the_same_as_sacrebleu_text_by_text() -> None:
    rng = np.random.default_rng(0)
    words = np.array(["who", "what", "why", "is", "are", "the", "a", "best", "worst", "cat", "dog", "house"])
    texts = [" ".join(rng.choice(words, size=rng.integers(1, 12))) for _ in range(40)]
    bleu = BLEU(tokenize="none", effective_order=True)
    tokens = [" ".join(rouge_words(text)) for text in texts]
    scores = [bleu.sentence_score(own, tokens[:at] + tokens[at + 1 :]).score for at, own in enumerate(tokens)]
    assert self_bleu(texts) == pytest.approx(np.mean(scores))
    assert 5 < np.mean(scores) < 95
