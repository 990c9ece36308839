"""Bootstrap intervals against planted truth."""

from __future__ import annotations

import numpy as np
import pytest

from icl.mechanism.shared import intervals
from icl.mechanism.shared.intervals import Estimate


def test_an_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    found = [intervals.mean(draw.normal(0.3, 1, 60), 400) for _ in range(300)]
    covered = np.mean([e.low <= 0.3 <= e.high for e in found])
    assert 0.90 <= covered <= 0.98
    assert np.mean([e.above_zero is True for e in found]) > 0.5
    assert sum(e.above_zero is False for e in found) <= 3


def test_an_interval_of_few_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    found = [intervals.mean_of_few(draw.normal(0.3, 1, 5)) for _ in range(1000)]
    assert 0.93 <= np.mean([e.low <= 0.3 <= e.high for e in found]) <= 0.97
    assert intervals.mean_of_few([1.0, 3.0]).high == pytest.approx(2 + 12.7062, abs=1e-3)
    with pytest.raises(ValueError, match="two values"):
        intervals.mean_of_few([1.0])


def test_a_share_and_a_difference_of_shares() -> None:
    whole = np.array([2, 0, 1, 1] * 20)
    part = np.array([1, 0, 1, 0] * 20)
    one = intervals.share(part, whole, 500)
    assert one is not None
    assert one.value == 0.5
    assert one.low < 0.5 < one.high
    less = intervals.share_difference(part, whole, part, whole, 500)
    assert less == Estimate(0.0, 0.0, 0.0)  # the same rows are drawn for both
    assert intervals.share(np.zeros(4), np.zeros(4), 500) is None


@pytest.mark.parametrize(("low", "high", "said"), [(0.1, 0.2, True), (-0.2, -0.1, False), (-0.1, 0.1, None)])
def test_an_interval_that_holds_zero_settles_nothing(low: float, high: float, said: bool | None) -> None:
    assert Estimate((low + high) / 2, low, high).above_zero is said
