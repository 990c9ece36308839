"""Packed products: the same numbers, whichever kernel makes them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from icl.engine.native import library
from icl.engine.trunks import packed
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.packed import PackedLinear

from .tiny import tiny_network

HALF = torch.bfloat16
needs_half = pytest.mark.skipif(
    not packed.available(HALF), reason="no packed bfloat16 in this build of torch"
)
needs_native = pytest.mark.skipif(not packed.native(HALF), reason="no products of bfloat16 on this processor")
WAYS = [pytest.param(False, marks=needs_native), True]


@needs_half
@pytest.mark.parametrize("wide", WAYS)
def test_half_precision_gives_the_exact_product_rounded_once(wide: bool) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(48, 64).to(HALF), torch.randn(48).to(HALF)
    x, other = torch.randn(5, 64).to(HALF), torch.randn(5, 48).to(HALF)
    linear = PackedLinear(weight, bias, wide=wide)
    exact = x.double() @ weight.double().T + bias.double()
    cases = (
        (linear(x), exact),
        (linear.activated(x, "silu"), torch.nn.functional.silu(exact)),
        (linear.times(x, other), exact * other.double()),
        (linear.plus(x, other), exact + other.double()),
    )
    for got, wanted in cases:
        assert got.dtype == HALF
        # half a unit in the last of 8 bits, and a little for the order of the sums
        assert torch.allclose(got.double(), wanted, rtol=2**-8, atol=1e-3)


@pytest.mark.skipif(
    not (library.available() and packed.available(torch.float32)), reason="no kernels, or no packed weights"
)
@pytest.mark.parametrize("dtype", [torch.float32, HALF])
def test_both_layouts_give_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(70, 90).to(dtype), torch.randn(70).to(dtype)
    x, other = torch.randn(33, 90).to(dtype), torch.randn(33, 70).to(dtype)
    ours, theirs = (PackedLinear(weight, bias, wide=dtype == HALF, panels=panels) for panels in (True, False))
    assert (ours.panels, theirs.panels) == (True, False)
    pairs = [(ours(x), theirs(x)), (ours.times(x, other), theirs.times(x, other))]
    pairs += [(ours.plus(x, other), theirs.plus(x, other))]
    pairs += [(ours.activated(x, name), theirs.activated(x, name)) for name in packed.ACTIVATIONS]
    for a, b in pairs:
        assert a.dtype == dtype
        assert torch.allclose(a.float(), b.float(), rtol=2**-7 if dtype == HALF else 1e-5, atol=2e-5)


@needs_half
def test_wide_weights_are_kept_in_fp32_and_hold_the_same_values() -> None:
    weight = torch.randn(32, 32).to(HALF)
    ones = torch.eye(32, dtype=HALF)
    assert torch.equal(PackedLinear(weight, wide=True)(ones), weight.T)
    if packed.native(HALF):
        assert torch.equal(PackedLinear(weight, wide=False)(ones), weight.T)


@needs_half
@pytest.mark.parametrize("wide", WAYS)
def test_the_manifest_can_say_that_half_precision_was_widened(
    wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "widened", lambda dtype: wide)
    trunk = FusedTrunk(tiny_network("llama").to(HALF))
    assert trunk.engine == "fused trie engine" + (", torch.bfloat16 multiplied in fp32" if wide else "")


def test_fp32_is_never_widened_and_the_answer_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not packed.widened(torch.float32)
    packed.widened.cache_clear()
    asked = []
    monkeypatch.setattr(packed, "_seconds", lambda linear, x: asked.append(linear.wide) or 1.0)
    needed = packed.available(HALF) and not packed.native(HALF)
    try:
        assert packed.widened(HALF) is needed  # not clearly faster
        assert packed.widened(HALF) is needed
    finally:
        packed.widened.cache_clear()
    assert sorted(asked) == ([False, True] if packed.native(HALF) else [])


@needs_half
def test_where_the_processor_has_no_products_of_half_precision_they_are_made_in_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An AVX2 processor: bfloat16 went to the unfused engine there, at a fifth of the pace."""
    packed.widened.cache_clear()
    monkeypatch.setattr(packed, "native", lambda dtype: dtype == torch.float32)
    try:
        assert packed.available(HALF)
        assert packed.widened(HALF)
        assert not packed.available(torch.float64)
    finally:
        packed.widened.cache_clear()


@needs_native
@pytest.mark.parametrize(
    ("native", "wide", "expected"), [(1.0, 0.5, True), (1.0, 0.9, False), (1.0, 2.0, False)]
)
def test_half_precision_is_widened_where_fp32_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, native: float, wide: float, expected: bool
) -> None:
    packed.widened.cache_clear()
    monkeypatch.setattr(packed, "_seconds", lambda linear, x: wide if linear.wide else native)
    try:
        assert packed.widened(HALF) is expected
    finally:
        packed.widened.cache_clear()


SHAPES = """
import psutil, torch
from icl.engine.trunks.packed import PackedLinear
linear = PackedLinear(torch.ones(1536, 576))
def resident(): return psutil.Process().memory_info().rss
for rows in range(1, 401):
    linear(torch.ones(rows, 576))
    if rows == 40:
        before = resident()
print((resident() - before) / 2**20)
"""


@pytest.mark.skipif(not packed.available(torch.float32), reason="no packed fp32 in this build of torch")
def test_kernels_of_shapes_that_have_passed_are_not_kept() -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_CACHE_CAPACITY")}
    ran = subprocess.run(
        [sys.executable, "-c", SHAPES], env=inherited, capture_output=True, text=True, check=True
    )
    assert float(ran.stdout) < 120  # MiB; 38 where it was measured, and 490 with all kernels kept
