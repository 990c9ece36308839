"""Random functions and prompts of them: values by hand, moments of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from icl.mechanism.shared.functions.classes import KINDS, Shape, _Tree, draw
from icl.mechanism.shared.functions.prompts import SHUFFLED, Prompts, batch, interleaved, prompts
from icl.seeding import generator

SHAPE = Shape(dimension=6, sparsity=2, hidden=8, depth=3)


def asked(kind: str, shift: str, number: int = 4000, points: int = 3) -> Prompts:
    return prompts(kind, shift, generator(0, "test"), number, points, SHAPE, noise=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_values_have_the_variance_that_errors_are_divided_by(kind: str) -> None:
    made = asked(kind, "none")
    assert float(made.target.square().mean()) == pytest.approx(SHAPE.variance(kind), rel=0.1)
    assert float(made.target.mean()) == pytest.approx(0, abs=4 * (SHAPE.variance(kind) / 4000) ** 0.5)


@pytest.mark.parametrize("kind", ["linear", "sparse", "network"])
def test_variance_goes_with_the_square_of_the_scale(kind: str) -> None:
    near, far = asked(kind, "none"), asked(kind, "scale 3")
    torch.testing.assert_close(far.x, 3 * near.x)
    torch.testing.assert_close(far.target, 3 * near.target, rtol=1e-4, atol=1e-4)
    assert SHAPE.variance(kind, 3.0) == 9 * SHAPE.variance(kind)


def test_a_sparse_function_has_as_many_weights_as_it_says() -> None:
    functions = draw("sparse", generator(0, "test"), 50, SHAPE, active=4)
    weights = functions(torch.eye(6).expand(50, 6, 6))
    assert ((weights != 0).sum(1) == 2).all()
    assert (weights[:, 4:] == 0).all()
    assert (weights[:, :4] != 0).any(0).all()


def test_a_tree_by_hand() -> None:
    """Root asks coordinate 0; its left child coordinate 1, its right one coordinate 2."""
    tree = _Tree(torch.tensor([[0, 1, 2]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    x = torch.tensor([[[-1.0, -1, 9], [-1, 1, -9], [1, -9, -1], [1, -9, 1]]])
    assert tree(x).tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_a_network_is_the_sum_of_its_units() -> None:
    functions = draw("network", generator(0, "test"), 2, SHAPE, active=6)
    x = torch.from_numpy(generator(1, "test").standard_normal((2, 3, 6), dtype=np.float32))
    first, second = functions.first, functions.second  # type: ignore[attr-defined]
    by_hand = [
        [
            sum(float(second[n, j]) * max(0.0, float(first[n, :, j] @ x[n, p])) for j in range(8))
            * (2 / 8) ** 0.5
            for p in range(3)
        ]
        for n in range(2)
    ]
    torch.testing.assert_close(functions(x), torch.tensor(by_hand), rtol=1e-4, atol=1e-4)


def test_a_batch_of_the_curriculum_leaves_coordinates_at_zero() -> None:
    x, y = batch("linear", generator(0, "test"), 20, 4, SHAPE, active=2)
    assert (x[..., 2:] == 0).all()
    assert (x[..., :2] != 0).all()
    assert y.shape == (20, 4)


def test_orthants_hold_examples_and_not_what_is_asked() -> None:
    made = asked("linear", "orthants", number=400)
    signs = made.x.sign()
    assert (signs == signs[:, :1]).all()
    assert float((signs[:, 0] > 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float((made.asked.sign() == signs[:, 0]).float().mean()) == pytest.approx(0.5, abs=0.05)


def test_skewed_inputs_have_falling_variances_of_the_same_sum() -> None:
    made = prompts("linear", "skewed", generator(0, "test"), 40, 3000, SHAPE, 0.5)
    covariance = made.x.mT @ made.x / 3000
    values = torch.linalg.eigvalsh(covariance).flip(1).mean(0)
    expected = 1 / torch.arange(1, 7) ** 2
    torch.testing.assert_close(values, 6 * expected / expected.sum(), rtol=0.05, atol=0.02)
    across = covariance.mean(0) - torch.eye(6)  # axes are turned at random: no direction stands out
    assert float(across.abs().max()) < 0.6


def test_noise_is_in_the_examples_and_not_in_what_is_asked() -> None:
    plain, noisy = asked("linear", "none"), asked("linear", "noisy")
    torch.testing.assert_close(plain.target, noisy.target)
    assert float((noisy.y - plain.y).std()) == pytest.approx(0.5, rel=0.05)


def test_shuffled_labels_are_the_same_labels_elsewhere() -> None:
    plain, mixed = asked("tree", "none", points=5), asked("tree", SHUFFLED, points=5)
    assert torch.equal(plain.x, mixed.x)
    assert torch.equal(plain.target, mixed.target)
    assert torch.equal(plain.y.sort(1).values, mixed.y.sort(1).values)
    assert float((plain.y == mixed.y).float().mean()) < 0.6


def test_a_sequence_has_labels_behind_their_inputs_and_ends_with_what_is_asked() -> None:
    made = asked("linear", "none", number=2)
    sequence = made.of(2).sequence
    assert sequence.shape == (2, 5, 6)
    assert torch.equal(sequence[:, 0], made.x[:, 0])
    assert torch.equal(sequence[:, 1, 0], made.y[:, 0])
    assert (sequence[:, 1, 1:] == 0).all()
    assert torch.equal(sequence[:, -1], made.asked)
    assert torch.equal(interleaved(made.x, made.y)[:, 2], made.x[:, 1])
    assert made.of(0).sequence.shape == (2, 1, 6)
