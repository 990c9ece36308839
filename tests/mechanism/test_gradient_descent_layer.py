"""Linear self-attention against gradient descent, in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from icl.mechanism.shared.gradient_descent.layer import Layer, descent_layer, layer_of, random_layer
from icl.mechanism.shared.gradient_descent.likeness import (
    compared,
    correlation,
    mean_cosine,
    off_pattern,
    path,
    turned,
)
from icl.mechanism.shared.gradient_descent.regression import (
    Regressions,
    best_step,
    descent,
    least_squares,
    regressions,
    squared_error,
)


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def wide(tasks: Regressions) -> Regressions:
    """In fp64."""
    return Regressions(tasks.x.double(), tasks.y.double(), tasks.asked.double(), tasks.target.double())


@pytest.mark.parametrize(("dimension", "points"), [(1, 1), (2, 3), (5, 5), (10, 10), (10, 40), (40, 10)])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_the_construction_is_one_step_of_gradient_descent(dimension: int, points: int, start: float) -> None:
    tasks = wide(regressions(draw(), 32, points, dimension))
    initial = start * torch.from_numpy(draw(1).standard_normal(dimension))
    weights = initial.clone().requires_grad_(True)
    wanted = []
    for b in range(32):  # the step, by autograd on the loss as it is written
        loss = (tasks.x[b] @ weights - tasks.y[b]).square().sum() / (2 * points)
        (slope,) = torch.autograd.grad(loss, weights)
        wanted.append((initial - 0.7 * slope) @ tasks.asked[b])
    layer = descent_layer(dimension, points, 0.7, initial)
    found = layer.predict(tasks.x, tasks.y, tasks.asked, tasks.asked @ initial)
    assert torch.allclose(found, torch.stack(wanted), rtol=0, atol=1e-6)
    assert torch.allclose(descent(tasks, 0.7, initial), torch.stack(wanted), rtol=0, atol=1e-12)
    wrong = descent_layer(dimension, points, 1.4, initial).predict(
        tasks.x, tasks.y, tasks.asked, tasks.asked @ initial
    )
    assert float((wrong - found).abs().max()) > 1e-2


def test_the_best_step_is_that_of_the_moments() -> None:
    """For x uniform on [-1, 1]: E x^2 = 1/3, E x^4 = 1/5; error d s (1 - s^2 / E[S^2]_jj) at s /
    E[S^2]_jj."""
    dimension, points, s = 6, 9, 1 / 3
    squared = s**2 + (1 / 5 - s**2) / points + (dimension - 1) * s**2 / points
    tasks = wide(regressions(draw(), 60_000, points, dimension))
    step = best_step(tasks)
    assert step == pytest.approx(s / squared, rel=0.02)
    assert squared_error(descent(tasks, step), tasks) == pytest.approx(
        dimension * s * (1 - s**2 / squared), rel=0.03
    )
    for other in (0.95 * step, 1.05 * step):
        assert squared_error(descent(tasks, other), tasks) > squared_error(descent(tasks, step), tasks)


def test_least_squares_is_exact_where_the_points_suffice() -> None:
    enough, few = regressions(draw(), 50, 8, 5), regressions(draw(), 50, 3, 5)
    assert torch.allclose(least_squares(enough), enough.target, atol=1e-3)
    assert squared_error(least_squares(few), few) > 0.1


def test_the_sensitivity_is_the_slope_of_the_prediction() -> None:
    layer, tasks = random_layer(4, 0.5, draw()), regressions(draw(1), 16, 6, 4)
    asked = tasks.asked.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(layer.predict(tasks.x, tasks.y, asked).sum(), asked)
    assert torch.allclose(layer.sensitivity(tasks.x, tasks.y), slope, atol=1e-5)


def test_a_layer_is_what_its_products_are() -> None:
    layer, tasks = random_layer(4, 0.5, draw()), regressions(draw(1), 16, 6, 4)
    same = layer_of(layer.match, layer.write)
    assert torch.allclose(
        same.predict(tasks.x, tasks.y, tasks.asked), layer.predict(tasks.x, tasks.y, tasks.asked), atol=1e-5
    )


def test_correlation_and_cosine() -> None:
    one = torch.tensor([1.0, 2.0, 4.0])
    assert correlation(one, 3 * one + 5) == pytest.approx(1)
    assert correlation(one, -one) == pytest.approx(-1)
    assert correlation(one, torch.ones(3)) == 0
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert mean_cosine(rows, torch.tensor([[3.0, 0.0], [1.0, 1.0]])) == pytest.approx((1 + 0.5**0.5) / 2)


def test_weight_off_the_pattern_is_counted() -> None:
    ideal = descent_layer(3, 5, 1.0)
    assert off_pattern(ideal) == pytest.approx((0, 0), abs=1e-6)
    match, write = ideal.match.clone(), ideal.write.clone()
    match[0, 1], match[3, 2] = 1.0, 1.0  # beside squared weight of 3
    match[0, 3] = 9.0  # what meets a y of zero does not count
    write[0] = write[-1]
    assert off_pattern(layer_of(match, write)) == pytest.approx((2 / 5, 1 / 2), abs=1e-6)


def test_the_way_between_two_layers() -> None:
    tasks = regressions(draw(), 4000, 8, 4)
    ideal = descent_layer(4, 8, best_step(tasks))
    moved = Layer(-3 * ideal.query, ideal.key, ideal.value, -ideal.out / 3)  # the same layer
    flat = path(ideal, moved, tasks, (0.0, 0.5, 1.0))
    assert flat == pytest.approx([flat[0]] * 3, rel=1e-4)
    hill = path(ideal, turned(ideal), tasks, (0.0, 0.5, 1.0))
    assert hill[0] == pytest.approx(flat[0], rel=1e-4)
    assert hill[1] > 1.2 * hill[0]
    assert hill[2] > hill[1]


def test_a_comparison_finds_a_planted_layer_and_not_a_random_one() -> None:
    count, points, size = 4000, 8, 4
    step = best_step(regressions(draw(), 40_000, points, size))
    found = compared(
        descent_layer(size, points, step),
        random_layer(size, 0.1, draw(3)),
        lambda name: draw(len(name)),
        points=points,
        count=count,
        scales=(1.0, 2.0),
    )
    assert found["correlation"]["best step"] == pytest.approx(1, abs=1e-5)
    assert found["cosine"]["trained"] == pytest.approx(1, abs=1e-5)
    assert found["cosine"]["untrained"] < 0.9
    assert found["loss"]["trained"] == pytest.approx(found["loss"]["best step"], rel=0.01)
    assert found["loss"]["wrong step"] > 1.3 * found["loss"]["best step"]
    near, far = found["scales"]
    assert near["trained"] == pytest.approx(near["searched anew"], rel=0.01)
    assert far["trained"] > 2 * far["searched anew"]
