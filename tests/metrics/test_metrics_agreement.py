"""Agreement against worked examples and the libraries, and intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from icl.metrics.shared.agreement import area, bootstrap, kappa, kappas, share, table


def test_kappa_of_the_textbook() -> None:
    # 50 grant proposals: both yes 20, both no 15, 5 and 10 apart; p_o 0.70, p_e 0.50
    found = kappa(np.array([[20.0, 5.0], [10.0, 15.0]]))
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high


def test_kappa_is_sklearns_for_three_labels() -> None:
    drawn = np.random.default_rng(3)
    ours = [str(n) for n in drawn.integers(0, 3, 80)]
    theirs = [mine if drawn.random() < 0.6 else str(drawn.integers(0, 3)) for mine in ours]
    counts = table(ours, theirs, ("0", "1", "2"))
    assert float(kappas(counts)) == pytest.approx(cohen_kappa_score(ours, theirs))
    assert counts.sum() == 80


def test_kappa_is_undefined_where_both_say_one_thing() -> None:
    assert kappa(table(["a"] * 5, ["a"] * 5, ("a", "b"))) is None
    assert kappa(table([], [], ("a", "b"))) is None


def test_kappas_interval_holds_the_truth() -> None:
    # Cells of a known table; Cohen's kappa of the table itself is the truth
    truth = np.array([[0.4, 0.1], [0.15, 0.35]])
    target = float(kappas(truth))
    drawn = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        counts = drawn.multinomial(150, truth.ravel()).reshape(2, 2).astype(float)
        found = kappa(counts)
        assert found is not None
        held += found.low <= target <= found.high
    assert 178 <= held <= 200  # 95 % of 200, four standard errors below


def test_a_share_has_wilsons_interval() -> None:
    found = share(7, 20)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(proportion_confint(7, 20, method="wilson"))
    assert share(0, 0) is None


def test_a_label_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'c' is none of a, b"):
        table(["a"], ["c"], ("a", "b"))


def test_the_bootstrap_is_the_same_again() -> None:
    counts = np.array([12.0, 30.0])
    first, second = (bootstrap(counts, lambda c: c[..., 0] / c.sum(-1)) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.value == pytest.approx(12 / 42)
    assert first.low < first.value < first.high


def test_area() -> None:
    assert area([0.9, 0.8, 0.3, 0.1], [True, False, True, False]) == pytest.approx(0.75)
    assert area([0.2, 0.4], [True, True]) is None
