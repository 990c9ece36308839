"""SimAOU, SimAM and Rec2FTP in closed form, with what they are where nothing is alike."""

from __future__ import annotations

import numpy as np
import pytest

from icl.mechanism.shared.gradient_descent.updates import rec2ftp, righted_anyway, sim_am, sim_aou, sim_random


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, dtype=float)


def test_sim_aou_is_the_cosine_of_updates_of_unit_vectors() -> None:
    zero = rows([1, 0, 0], [1, 0, 0], [2, 0, 0])
    shown = rows([0, 1, 0], [0, 1, 0], [0, 5, 0])
    tuned = rows([0, 7, 0], [0, 0, 1], [3, 0, 0])
    # the same update; (-1, 1, 0) and (-1, 0, 1); none at all: only the length has changed
    assert sim_aou(zero, shown, tuned) == pytest.approx([1, 0.5, 0])


def test_a_planted_update_is_told_from_random_ones() -> None:
    draw = np.random.default_rng(0)
    zero, change = draw.standard_normal((2, 40, 256))
    shown, tuned = zero + 0.5 * change, zero + 0.2 * change + 0.1 * draw.standard_normal((40, 256))
    assert sim_aou(zero, shown, tuned).mean() > 0.7
    normal, uniform = sim_random(zero, shown, draw)
    assert abs(normal.mean()) < 4 / (256 * 40) ** 0.5
    assert uniform.std() > 0


def test_a_uniform_update_is_one_direction_up_to_its_spread() -> None:
    """The authors' baseline: above zero for updates that point the way of all ones, unlike a normal one."""
    zero = np.tile(np.array([1.0, -1.0] * 64), (50, 1))
    normal, uniform = sim_random(zero, zero + 1.0, np.random.default_rng(0))
    assert uniform.mean() > 0.5
    assert abs(normal.mean()) < 0.1


def test_sim_am_is_the_mean_cosine_of_the_heads() -> None:
    one = np.array([[[1.0, 0.0], [1.0, 1.0]]])  # a layer, two heads, two tokens
    other = np.array([[[2.0, 0.0], [1.0, -1.0]]])
    assert sim_am(one, other) == pytest.approx([0.5])


def test_rec2ftp_and_what_it_is_by_chance() -> None:
    zero = np.array([False, False, False, False, True])
    shown = np.array([True, False, True, False, True])
    tuned = np.array([True, True, False, False, True])
    assert rec2ftp(zero, shown, tuned) == 0.5
    assert righted_anyway(zero, shown) == 0.5
    assert rec2ftp(zero, shown, zero) is None
    assert righted_anyway(~zero & zero | True, shown) is None
