"""Products with weights in panels against fp64, on drawn shapes; a row does not depend on those beside it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import gelu, relu, silu

from icl.engine.native import products

pytestmark = pytest.mark.usefixtures("kernels")
SHAPES = st.tuples(st.integers(0, 420), st.integers(1, 450), st.integers(1, 130))
STEPS = {
    "none": ("none", "", lambda x: x),
    "silu": ("swish", "", silu),
    "relu": ("relu", "", relu),
    "gelu": ("gelu", "none", gelu),
    "gelu_tanh": ("gelu", "tanh", lambda x: gelu(x, approximate="tanh")),
}


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, wanted: Tensor, inner: int) -> bool:
    """To fp32's rounding of a sum of so many."""
    return torch.allclose(found.double(), wanted, rtol=1e-5, atol=3e-6 * inner**0.5)


@given(SHAPES, st.sampled_from(sorted(STEPS)), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_product_and_its_step_are_those_of_fp64(
    shape: tuple[int, int, int], step: str, biased: bool
) -> None:
    rows, inner, out = shape
    x, weight = drawn(1, rows, inner), drawn(2, out, inner)
    bias = drawn(3, out) if biased else None
    name, algorithm, plain = STEPS[step]
    found = products.product(x, products.lay_out(weight), out, bias, name, algorithm)
    exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    assert found.shape == (rows, out)
    assert close(found, plain(exact), inner)


@given(SHAPES, st.sampled_from(["mul", "add"]))
@settings(deadline=None, max_examples=40)
def test_rows_are_read_and_joined_where_they_lie(shape: tuple[int, int, int], step: str) -> None:
    rows, inner, out = shape
    x, other = drawn(4, rows, inner + 3)[:, 2:-1], drawn(5, rows, out + 5)[:, 5:]
    weight = drawn(6, out, inner)
    found = products.product(x, products.lay_out(weight), out, None, step, "", other)
    exact = x.double() @ weight.double().T
    wanted = exact * other.double() if step == "mul" else exact + other.double()
    assert close(found, wanted, inner)


@pytest.mark.parametrize("rows", [1, 5, 6, 7, 64, 191, 192, 193, 400])
def test_a_row_is_the_same_to_the_bit_whatever_stands_beside_it(rows: int) -> None:
    panels = products.lay_out(drawn(7, 100, 500))
    x = drawn(8, 400, 500)
    all_of_them = products.product(x, panels, 100, None, "swish")
    assert torch.equal(products.product(x[:rows], panels, 100, None, "swish"), all_of_them[:rows])
    assert torch.equal(products.product(x[-rows:], panels, 100, None, "swish"), all_of_them[-rows:])


def test_threads_change_nothing() -> None:
    panels, x, threads = products.lay_out(drawn(9, 200, 300)), drawn(10, 250, 300), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(products.product(x, panels, 200, None, "none"))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("step", sorted(STEPS))
def test_steps_hold_far_from_zero(step: str) -> None:
    """Of the whole range: 1e-6 of the value, and nothing where fp32 has nothing left."""
    x = torch.cat([torch.linspace(-110, 110, 40001), torch.tensor([0.0, -0.0, 1e-30, -1e-30, 3e38, -1e30])])
    name, algorithm, plain = STEPS[step]
    found = products.product(x[:, None], products.lay_out(torch.ones(1, 1)), 1, None, name, algorithm)[:, 0]
    wanted = plain(x.double())
    near = wanted.abs() > 1e-30  # 1 + tanh keeps no more digits where both are nearly equal
    atol = 3e-6 if step == "gelu_tanh" else 1e-9
    assert torch.allclose(found[near].double(), wanted[near], rtol=3e-6, atol=atol)
    assert (found[~near].abs() <= 1e-6).all()


def test_not_a_number_stays_one() -> None:
    x = torch.tensor([[float("nan")], [1.0]])
    for name, algorithm, _ in STEPS.values():
        found = products.product(x, products.lay_out(torch.ones(20, 1)), 20, None, name, algorithm)
        assert found[0].isnan().all()
        assert not found[1].isnan().any()


def test_what_does_not_fit_is_said() -> None:
    panels, x = products.lay_out(drawn(11, 20, 8)), drawn(12, 3, 8)
    with pytest.raises(ValueError, match=r"panels must be those of a weight \[200, 8\]"):
        products.product(x, panels, 200, None, "none")
    with pytest.raises(ValueError, match="must be those of a weight"):
        products.product(x[:, :7], panels, 20, None, "none")
    with pytest.raises(ValueError, match="a second operand"):
        products.product(x, panels, 20, None, "add")
    with pytest.raises(ValueError, match=r"must be \[3, 20\]"):
        products.product(x, panels, 20, None, "add", "", x)
    with pytest.raises(ValueError, match="no step tanh"):
        products.product(x, panels, 20, None, "tanh")
    with pytest.raises(ValueError, match=r"must be \[out, in\] of float32"):
        products.lay_out(drawn(13, 4, 4).bfloat16())


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_narrower_instructions_give_the_same_to_rounding(capability: str) -> None:
    code = (
        "import torch; from icl.engine.native import library, products; assert library.available();"
        "g = torch.Generator().manual_seed(0);"
        "x, w, b = (torch.randn(s, generator=g) for s in ((203, 300), (70, 300), (70,)));"
        "found = products.product(x, products.lay_out(w), 70, b, 'swish');"
        "wanted = torch.nn.functional.silu(x.double() @ w.double().T + b.double());"
        "assert torch.allclose(found.double(), wanted, rtol=1e-5, atol=1e-4), (found - wanted).abs().max()"
    )
    env = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
