"""Elo's ratings: the published step, and the mean over orders."""

from __future__ import annotations

import numpy as np
import pytest

from icl.feedback.elo import Games, elo, played
from icl.feedback.resampling import Bootstrap


def games(results: list[tuple[int, int, float]]) -> Games:
    first, second, score = (np.array(part) for part in zip(*results, strict=True))
    return Games(
        first,
        second,
        score.astype(float),
        np.arange(len(results)),
        int(max(*first, *second)) + 1,
        len(results),
    )


def test_two_games_by_hand() -> None:
    """x wins from equal ratings: 16 points of 32. Then it is expected to win 1 / (1 + 10^(-32 / 400)) =
    0.54592 of the time, and loses 32 times that."""
    both = games([(0, 1, 1.0), (1, 0, 1.0)])
    (first,) = played(games([(0, 1, 1.0)]), np.array([[0]], dtype=np.int32), 32.0)
    assert first.tolist() == [1016.0, 984.0]
    (after,) = played(both, np.array([[0], [1]], dtype=np.int32), 32.0)
    assert after[0] == pytest.approx(1016 - 32 * 0.54592, abs=1e-3)
    assert after.sum() == pytest.approx(2000)


def test_the_mean_over_orders_is_that_of_all_orders() -> None:
    """Three games have six orders, which give unlike ratings."""
    three = games([(0, 1, 1.0), (1, 2, 1.0), (2, 0, 0.5)])
    orders = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]], dtype=np.int32)
    every = played(three, orders.T, 64.0)
    assert np.ptp(every, axis=0).min() > 1
    found = elo(three, Bootstrap(4000), 64.0)
    for one, exact, low, high in zip(found, every.mean(0), every.min(0), every.max(0), strict=True):
        assert one.value == pytest.approx(exact, abs=0.2)
        assert one.orders == pytest.approx((low, high))


def test_the_order_of_the_file_does_not_matter_beyond_the_draws() -> None:
    """All wins first, or last: played in the file's order ratings differ by far; their means do not."""
    wins, losses = [(0, 1, 1.0)] * 20, [(0, 1, 0.0)] * 20
    files = [games([*wins, *losses]), games([*losses, *wins])]
    in_order = [played(one, np.arange(40, dtype=np.int32)[:, None], 32.0)[0, 0] for one in files]
    assert abs(in_order[0] - in_order[1]) > 200
    means = [elo(one, Bootstrap(1000))[0].value for one in files]
    assert means[0] == pytest.approx(means[1], abs=6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    some = games([(0, 1, 1.0), (1, 2, 1.0), (2, 0, 0.5), (0, 2, 1.0)])
    whole = elo(some, Bootstrap(100))
    monkeypatch.setattr("icl.feedback.elo.AT_ONCE", 30)
    assert elo(some, Bootstrap(100)) == whole
