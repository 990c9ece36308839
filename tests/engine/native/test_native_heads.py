"""Split, norm and rotation of heads in one pass, against the steps in Python and torch's own in fp64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.native import library
from icl.engine.native.heads import split_heads
from icl.engine.trunks.fused.blocks import Block, Norm
from icl.engine.trunks.fused.heads import split

pytestmark = pytest.mark.usefixtures("kernels")
DRAWN = torch.Generator().manual_seed(0)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=DRAWN).to(dtype)


def block(heads: int, kv_heads: int, **rest: Any) -> Block:
    """Only what splitting reads."""
    nothing: Any = None
    return Block(LayerCall(0, 1.0), heads, kv_heads, qkv=nothing, out=nothing, feed=nothing, rotary=0, **rest)


def norms_of(size: int, heads: int, kv_heads: int, joint: bool, dtype: torch.dtype) -> dict[str, Any]:
    wide = (size * heads, size * kv_heads) if joint else (size, size)
    return {
        "q_norm": Norm(drawn(wide[0], dtype=dtype), 1e-6),
        "k_norm": Norm(drawn(wide[1], dtype=dtype), 1e-6),
        "joint_norm": joint,
    }


SHAPES = st.tuples(
    st.integers(0, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40).map(lambda n: 2 * n)
)


@given(SHAPES, st.floats(0.0, 1.0), st.sampled_from(["none", "each", "joint"]))
@settings(deadline=None, max_examples=80)
def test_it_is_what_the_steps_in_python_give(
    shape: tuple[int, int, int, int], turned: float, kind: str
) -> None:
    rows, kv_heads, group, size = shape
    heads = kv_heads * group
    half = int(turned * size / 2)
    given = {} if kind == "none" else norms_of(size, heads, kv_heads, kind == "joint", torch.float32)
    one = block(heads, kv_heads, **given)
    projected = drawn(rows, (heads + 2 * kv_heads) * size)
    angles = (drawn(rows, 1, half), drawn(rows, 1, half)) if half else None
    found = split(one, projected, angles)
    with library.left_out():
        wanted = split(one, projected, angles)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("joint", [False, True])
def test_half_precision_is_no_further_from_fp64_than_the_steps_are(dtype: torch.dtype, joint: bool) -> None:
    heads, kv_heads, size, rows = 6, 2, 64, 50
    one = block(heads, kv_heads, **norms_of(size, heads, kv_heads, joint, dtype))
    projected = drawn(rows, (heads + 2 * kv_heads) * size, dtype=dtype)
    angle = drawn(rows, 1, size // 2)
    angles = (angle.cos().to(dtype), angle.sin().to(dtype))
    found = split(one, projected, angles)
    with library.left_out():
        stepped = split(one, projected, angles)
        wide = [
            Norm(n.weight.double(), n.eps) for n in (one.q_norm, one.k_norm) if n and n.weight is not None
        ]
        double = block(heads, kv_heads, q_norm=wide[0], k_norm=wide[1], joint_norm=joint)
        exact = [
            part.double() for part in split(double, projected.float(), (angles[0].float(), angles[1].float()))
        ]
    for ours, theirs, true in zip(found[:2], stepped[:2], exact[:2], strict=True):
        assert ours.dtype == dtype
        gap, allowed = (ours.double() - true).abs(), (theirs.double() - true).abs()
        assert gap.max() <= allowed.max()
        assert (gap <= torch.finfo(dtype).eps * true.abs() + 1e-6).all()  # rounded once
    assert torch.equal(found[2], stepped[2])


def test_rows_do_not_depend_on_one_another() -> None:
    projected, angles = drawn(40, 5 * 32), (drawn(40, 1, 8), drawn(40, 1, 8))
    whole = split_heads(projected, 3, 1, angles)
    for t in range(40):
        alone = split_heads(projected[t : t + 1], 3, 1, (angles[0][t : t + 1], angles[1][t : t + 1]))
        assert all(torch.equal(a[:, t : t + 1], b) for a, b in zip(whole, alone, strict=True))


@pytest.mark.parametrize(
    ("width", "half", "words"), [(31, 4, r"must be \[T"), (5 * 32, 17, "cos and sin must be")]
)
def test_what_does_not_fit_is_refused(width: int, half: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split_heads(drawn(2, width), 3, 1, (drawn(2, 1, half), drawn(2, 1, half)))
