"""Estimators against closed forms and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from icl.mechanism.shared.functions.classes import Shape
from icl.mechanism.shared.functions.prompts import Prompts, prompts
from icl.mechanism.shared.functions.rivals import (
    averaging,
    fitted_network,
    greedy_tree,
    least_squares,
    nearest,
    regularised,
    rivals,
    sparse_regression,
)
from icl.seeding import generator

SHAPE = Shape(dimension=4, sparsity=1, hidden=8, depth=2)


def asked(kind: str, shift: str = "none", number: int = 3000, points: int = 8, noise: float = 1.0) -> Prompts:
    return prompts(kind, shift, generator(0, "test"), number, points, SHAPE, noise)


def error(said: Tensor, of: Prompts, kind: str = "linear") -> float:
    return float((said - of.target).square().mean()) / SHAPE.variance(kind)


def one(x: list[list[float]], y: list[float], query: list[float]) -> Prompts:
    return Prompts(torch.tensor([x]), torch.tensor([y]), torch.tensor([query]), torch.zeros(1))


@pytest.mark.parametrize("examples", range(8))
def test_least_squares_leaves_the_share_of_directions_it_has_not_seen(examples: int) -> None:
    """E = 1 - k / d below d examples without noise, 0 from there on."""
    made = asked("linear").of(examples)
    found = error(rivals("linear", SHAPE, ridge=1.0, lasso=0.1, seed=0)["least squares"](made), made)
    assert found == pytest.approx(max(0.0, 1 - examples / 4), abs=0.07 if examples < 4 else 1e-3)


def test_least_squares_with_noise_has_the_error_of_theory() -> None:
    """E (w - w')^2 = noise^2 d / (k - d - 1) for k > d + 1 normal x."""
    made = asked("linear", "noisy", number=6000, points=12, noise=0.5)
    assert error(least_squares(made), made) == pytest.approx(0.25 / (12 - 4 - 1), rel=0.15)


def test_ridge_is_scikit_learns_and_the_best_of_its_kind_with_noise() -> None:
    from sklearn.linear_model import Ridge

    made = asked("linear", "noisy", number=2000, noise=1.0, points=5)
    said = regularised(made, 1.0)
    for row in range(20):
        by_other = Ridge(alpha=1.0, fit_intercept=False).fit(made.x[row].numpy(), made.y[row].numpy())
        assert float(said[row]) == pytest.approx(
            by_other.predict(made.asked[row : row + 1].numpy())[0], abs=1e-3
        )
    right = error(said, made)
    assert right < min(error(regularised(made, penalty), made) for penalty in (0.1, 10.0))
    assert right < error(least_squares(made), made)


def test_neighbours_by_hand() -> None:
    x = [[0.0, 0], [1, 0], [0, 2], [9, 9]]
    assert float(nearest(one(x, [3.0, 6, 9, 100], [0, 0]))) == pytest.approx(6.0)
    assert float(nearest(one(x[:2], [3.0, 6], [0, 0]))) == pytest.approx(4.5)


def test_averaging_by_hand() -> None:
    """w = mean of x y = ((2, 0) + (0, 12)) / 2 = (1, 6)."""
    assert float(averaging(one([[1.0, 0], [0, 3]], [2.0, 4], [10.0, 1]))) == pytest.approx(16.0)


def test_averaging_needs_many_examples() -> None:
    few, many = asked("linear", points=8), asked("linear", points=400, number=500)
    assert error(averaging(few), few) > 0.4
    assert error(averaging(many), many) == pytest.approx(5 / 400, rel=0.3)  # (d + 1) / k


def test_the_lasso_finds_what_is_sparse_with_fewer_examples_than_dimensions() -> None:
    made = asked("sparse", number=150, points=3)
    assert error(sparse_regression(made, 0.01), made, "sparse") < 0.8 * error(
        least_squares(made), made, "sparse"
    )


def test_a_greedy_tree_finds_a_step() -> None:
    x = [[-2.0, 5], [-1, -5], [1, 5], [2, -5]]
    made = one(x, [1.0, 1, 7, 7], [1.5, 0])
    assert float(greedy_tree(made, 1)) == 7.0
    assert float(greedy_tree(one(x, [1.0, 1, 7, 7], [-9.0, 0]), 1)) == 1.0


def test_a_fitted_network_beats_a_linear_one_on_networks() -> None:
    made = asked("network", number=100, points=60)
    assert error(fitted_network(made, 32, 0), made, "network") < 0.7 * error(
        least_squares(made), made, "network"
    )


def test_without_examples_the_answer_is_zero() -> None:
    for kind in ("sparse", "network", "tree"):
        empty = asked(kind, number=3).of(0)
        for name, rival in rivals(kind, SHAPE, ridge=1.0, lasso=0.1, seed=0).items():
            assert np.array_equal(rival(empty).numpy(), np.zeros(3)), name


def test_classes_have_estimators_of_their_own() -> None:
    own = {
        kind: list(rivals(kind, SHAPE, ridge=1.0, lasso=0.1, seed=0))[4:]
        for kind in ("linear", "sparse", "network", "tree")
    }
    assert own == {
        "linear": [], "sparse": ["lasso"], "network": ["two-layer network"],
        "tree": ["greedy tree", "greedy tree of signs"],
    }  # fmt: skip
