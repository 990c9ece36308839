"""Draws by score against the probabilities that they are to have."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from icl.redteam.shots import drawn_by_score


def test_draws_have_the_probabilities_of_sequential_draws_without_replacement() -> None:
    weights = np.array([1.0, 2.0, 5.0])
    scores = 0.1 * np.log(weights)
    rng = np.random.default_rng(0)
    n = 20_000
    pairs = Counter(tuple(drawn_by_score(scores, 2, 0.1, rng)) for _ in range(n))
    for first in range(3):
        for second in {0, 1, 2} - {first}:
            p = weights[first] / 8 * weights[second] / (8 - weights[first])
            assert abs(pairs[first, second] / n - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_a_low_temperature_takes_the_best_in_order_and_a_high_one_anything() -> None:
    scores = [0.1, 0.9, 0.5, 0.2]
    rng = np.random.default_rng(1)
    assert drawn_by_score(scores, 3, 1e-6, rng) == [1, 2, 3]
    firsts = Counter(drawn_by_score(scores, 1, 1e9, rng)[0] for _ in range(4000))
    assert all(abs(count - 1000) < 120 for count in firsts.values())


def test_no_more_than_there_are_and_never_one_twice() -> None:
    assert sorted(drawn_by_score([0.3, 0.1, 0.2], 5, 0.1, np.random.default_rng(2))) == [0, 1, 2]
    assert drawn_by_score([], 5, 0.1, np.random.default_rng(2)) == []


def test_scores_that_would_overflow_an_exponential() -> None:
    assert drawn_by_score([5000.0, 0.0], 1, 0.1, np.random.default_rng(3)) == [0]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        drawn_by_score([1.0], 1, temperature, np.random.default_rng(0))
