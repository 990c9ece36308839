"""Candidate orders."""

from __future__ import annotations

import numpy as np
import pytest

from icl.errors import ConfigError
from icl.orderers.shared.permutations import candidate_orders, check_wanted
from icl.seeding import generator


def stream() -> np.random.Generator:
    return generator(0, "tests.permutations")


def unused() -> np.random.Generator:
    raise AssertionError("nothing is drawn where all orders are tried")


def test_all_of_three_in_lexicographic_order() -> None:
    expected = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    assert candidate_orders(3, "all", unused) == expected
    assert candidate_orders(3, 6, unused) == expected
    assert len(candidate_orders(4, 24, unused)) == 24


@pytest.mark.parametrize("count", [4, 8, 12])
def test_a_sample_has_different_orders(count: int) -> None:
    drawn = candidate_orders(count, 23, stream)
    assert len(set(drawn)) == len(drawn) == 23
    assert all(sorted(order) == list(range(count)) for order in drawn)
    assert candidate_orders(count, 23, stream) == drawn


def test_more_than_eight_in_full_are_refused_with_an_offer() -> None:
    with pytest.raises(
        ConfigError, match=r"9 demonstrations are 362,880;.*Sample.*permutations: 24"
    ) as caught:
        candidate_orders(9, "all", unused)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "every", None])
def test_what_is_wanted_is_a_number_or_all(value: object) -> None:
    with pytest.raises(ValueError, match=r"permutations is .*allowed: an integer >= 1, or all"):
        check_wanted("permutations", value)
