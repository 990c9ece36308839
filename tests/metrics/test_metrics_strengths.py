"""Bradley and Terry's model: its likelihood equations, and when there is a maximum."""

from __future__ import annotations

from itertools import combinations

import choix
import numpy as np
import pytest

from icl.metrics.shared.strengths import apart, connected, fit, unbeaten


def drawn(seed: int, size: int, share: float) -> np.ndarray:
    """Wins of which about a share are not 0."""
    stream = np.random.default_rng(seed)
    wins = stream.integers(1, 6, size=(size, size)) * (stream.random((size, size)) < share)
    np.fill_diagonal(wins, 0)
    return wins.astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_wins_are_those_that_the_strengths_expect(seed: int) -> None:
    """At the maximum each candidate has won as often as its strength says (Ford 1957), and starting
    elsewhere ends there."""
    wins = drawn(seed, 5, 1.0)
    found = fit(wins)
    chance = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    assert ((wins + wins.T) * chance).sum(1) == pytest.approx(wins.sum(1), abs=1e-5)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    assert fit(wins, found[::-1]) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_groups_that_never_lost_are_found(seed: int) -> None:
    """Against every subset: the smallest that nobody outside has beaten, unless that is everybody."""
    wins = drawn(seed, 5, 0.25)
    closed = [
        set(group)
        for size in range(1, 6)
        for group in combinations(range(5), size)
        if not any(wins[other, one] for one in group for other in set(range(5)) - set(group))
    ]
    smallest = [group for group in closed if not any(other < group for other in closed)]
    expected = [] if smallest == [set(range(5))] else smallest
    assert sorted(map(sorted, unbeaten(wins))) == sorted(map(sorted, expected))
    assert connected(wins) == (not expected)


def test_groups_that_nobody_compared_are_apart() -> None:
    wins = np.zeros((5, 5))
    wins[0, 3] = wins[1, 2] = 1
    assert apart(wins) == [[0, 3], [1, 2], [4]]


def test_an_optimizer_does_not_say_that_there_is_no_maximum() -> None:
    """Why it is asked first: twice as many wins of one who never lost are another finite number."""
    few, many = (choix.opt_pairwise(2, [(0, 1)] * games, alpha=0.0) for games in (5, 10))
    assert np.isfinite([few, many]).all()
    assert many != pytest.approx(few, abs=0.1)
    assert not connected(np.array([[0.0, 5.0], [0.0, 0.0]]))
