"""Norm kernels against torch's own steps, on drawn shapes, strides and formats."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import layer_norm

from icl.engine.native import norms

pytestmark = pytest.mark.usefixtures("kernels")
SHAPES = st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(1, 200))
EPS = 1e-5


def plain_rms(x: Tensor, weight: Tensor | None, offset: float) -> Tensor:
    """In fp64."""
    wide = x.double()
    normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPS)
    return normed if weight is None else normed * (weight.double() + offset)


def drawn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@given(SHAPES, st.sampled_from([0.0, 1.0]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_rms_norm_is_that_of_fp64(shape: tuple[int, int, int], offset: float, weighted: bool) -> None:
    x, weight = 3 * drawn(1, *shape), drawn(2, shape[-1]) if weighted else None
    found = norms.rms_norm(x, weight, EPS, offset)
    torch.testing.assert_close(found.double(), plain_rms(x, weight, offset), rtol=1e-5, atol=1e-6)


@given(SHAPES, st.booleans())
@settings(deadline=None, max_examples=60)
def test_layer_norm_is_torchs(shape: tuple[int, int, int], biased: bool) -> None:
    x, weight = drawn(3, *shape) + 2, drawn(4, shape[-1])
    bias = drawn(5, shape[-1]) if biased else None
    found = norms.layer_norm(x, weight, bias, EPS)
    wanted = layer_norm(x.double(), shape[-1:], weight.double(), bias.double() if biased else None, EPS)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wide_weights", [False, True])
@pytest.mark.parametrize("size", [7, 64, 576])
def test_half_precision_is_rounded_once(dtype: torch.dtype, wide_weights: bool, size: int) -> None:
    x = drawn(6, 9, size, dtype=dtype)
    weight = drawn(7, size, dtype=torch.float32 if wide_weights else dtype)
    found = norms.rms_norm(x, weight, EPS)
    assert found.dtype == dtype
    exact = plain_rms(x, weight, 0.0)
    assert ((found.double() - exact).abs() <= torch.finfo(dtype).eps * exact.abs() + 1e-7).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [5, 48, 130])
def test_the_sum_with_a_residual_is_torchs_and_is_what_is_normed(dtype: torch.dtype, size: int) -> None:
    x, residual, weight = (
        drawn(s, *shape, dtype=dtype) for s, shape in enumerate([(6, size), (6, size), (size,)])
    )
    summed, normed = norms.add_rms_norm(x, residual, weight, EPS, 1.0)
    assert torch.equal(summed, x + residual)
    assert torch.equal(normed, norms.rms_norm(x + residual, weight, EPS, 1.0))
    bias = drawn(9, size, dtype=dtype)
    summed, normed = norms.add_layer_norm(x, residual, weight, bias, EPS)
    assert torch.equal(summed, x + residual)
    assert torch.equal(normed, norms.layer_norm(x + residual, weight, bias, EPS))


def test_heads_of_a_projection_are_read_where_they_lie() -> None:
    projected = drawn(10, 7, 6, 16)
    heads = projected[:, 2:5]
    assert torch.equal(norms.rms_norm(heads, None, EPS), norms.rms_norm(heads.contiguous(), None, EPS))


def test_a_row_does_not_depend_on_the_others() -> None:
    x = drawn(11, 300, 96)
    alone = torch.cat([norms.rms_norm(row[None], None, EPS) for row in x])
    assert torch.equal(norms.rms_norm(x, None, EPS), alone)


@pytest.mark.parametrize(
    ("x", "weight", "words"),
    [
        (torch.ones(2, 4), torch.ones(3), r"must be \[4\]"),
        (torch.ones(4, 2).T, None, "contiguous last dimension"),
        (torch.ones(2, 2, 2, 2), None, "up to three"),
    ],
)
def test_what_does_not_fit_is_refused(x: Tensor, weight: Tensor | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        norms.rms_norm(x, weight, EPS)


def test_formats_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TypeError, match="float32, bfloat16, float16"):
        norms.rms_norm(torch.ones(2, 4, dtype=torch.double), None, EPS)
    with pytest.raises(TypeError, match="of the rows' format or float32"):
        norms.rms_norm(torch.ones(2, 4), torch.ones(4, dtype=torch.bfloat16), EPS)
