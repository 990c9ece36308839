"""The compiled attention of a decode step against the Python one: nested nodes, idle rows, windows, caps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.decoding import native
from icl.engine.decoding.memory import SharedNode, StepAttention, Tails
from icl.engine.decoding.native import NativeStepAttention, step_attend
from icl.engine.native.attention import step_attention
from icl.engine.trie.radix import Node

pytestmark = pytest.mark.usefixtures("kernels")
CPU = torch.device("cpu")
SHAPES = st.tuples(st.sampled_from([1, 3, 7]), st.integers(1, 2), st.sampled_from([8, 24, 64, 128]))
"""Query heads a key head, key heads, size of a head."""

Spans = list[tuple[SharedNode, int, int]]


def nested(low: int, high: int, depth: int, draw: torch.Generator) -> list[tuple[int, int, int, int]]:
    """(depth, length, first slot, last slot) of nodes over slots [low, high), each within one above it."""
    if high - low < 2 or depth > 300:
        return []
    length = int(torch.randint(1, 150, (1,), generator=draw))
    cut = int(torch.randint(low, high + 1, (1,), generator=draw))
    below = nested(low, cut, depth + length, draw) + nested(cut, high, depth + length, draw)
    return [(depth, length, low, high), *below]


def memory(
    slots: int, shape: tuple[int, int, int], seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Tails, Spans, Tensor]:
    """Tails in rows out of order, one of them idle, under nested nodes; positions [B] of the newest."""
    draw = torch.Generator().manual_seed(seed)
    _, kv_heads, size = shape
    tails, spans = Tails(CPU), []
    tails.add(slots + 1)
    tails.keep([*range(1, slots + 1)])
    tails.rows.reverse()
    above = [0] * slots
    for depth, length, low, high in nested(0, slots, 0, draw):
        shared = SharedNode(Node(0, length, depth, low, high, True))
        k, v = torch.randn(2, kv_heads, length, size, generator=draw).to(dtype)
        shared.put(0, 0, k, v)
        spans.append((shared, low, high))
        for slot in range(low, high):
            above[slot] = depth + length
    tails.lengths = torch.randint(0, 140, (slots,), generator=draw).tolist()
    tails.reserve(max(tails.lengths) + 1)
    shaped = torch.randn(kv_heads, 1, size, generator=draw).to(dtype)
    for held in tails.layer(0, shaped):
        held.copy_(torch.randn(held.shape, generator=draw))
    for slot, (row, length) in enumerate(zip(tails.rows, tails.lengths, strict=True)):
        tails.positions[row, :length] = torch.arange(above[slot], above[slot] + length)
    return tails, spans, torch.tensor([a + n for a, n in zip(above, tails.lengths, strict=True)])


def drawn(
    slots: int, shape: tuple[int, int, int], seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """q and k [heads, B, D] contiguous, v a view of [B, heads, D]."""
    draw, (group, kv_heads, size) = torch.Generator().manual_seed(seed + 1), shape
    q, k = (torch.randn(h, slots, size, generator=draw).to(dtype) for h in (group * kv_heads, kv_heads))
    return q, k, torch.randn(slots, kv_heads, size, generator=draw).to(dtype).transpose(0, 1)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 70),
    SHAPES,
    st.sampled_from([None, 3, 60]),
    st.sampled_from([None, 1.5]),
    st.booleans(),
    st.integers(0, 999),
)
def test_it_agrees_with_the_python_step(
    slots: int, shape: tuple[int, int, int], window: int | None, softcap: float | None, sinks: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    sink = 2 * torch.randn(shape[0] * shape[1], generator=draw) if sinks else None
    call = LayerCall(0, 2 * shape[2] ** -0.5, window, softcap, sink)
    inputs = drawn(slots, shape, seed)
    plain, compiled = memory(slots, shape, seed), memory(slots, shape, seed)
    expected = StepAttention(*plain)(*inputs, call)
    found = NativeStepAttention(*compiled)(*inputs, call)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert found.transpose(0, 1).is_contiguous()
    assert torch.equal(plain[0].keys[0], compiled[0].keys[0])
    assert torch.equal(plain[0].values[0], compiled[0].values[0])
    assert torch.equal(plain[0].positions, compiled[0].positions)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (90, None), (None, 5.0)])
def test_it_is_no_further_from_fp32_than_the_python_step(
    dtype: torch.dtype, window: int | None, softcap: float | None
) -> None:
    shape, call = (3, 2, 64), LayerCall(0, 0.2, window, softcap)
    inputs = drawn(40, shape, 5, dtype)
    exact = StepAttention(*_wide(memory(40, shape, 5, dtype)))(*(x.float() for x in inputs), call)
    theirs = StepAttention(*memory(40, shape, 5, dtype))(*inputs, call)
    found = NativeStepAttention(*memory(40, shape, 5, dtype))(*inputs, call)
    assert found.dtype == dtype
    assert (found.float() - exact).square().mean() <= 1.02 * (theirs.float() - exact).square().mean()


def _wide(held: tuple[Tails, Spans, Tensor]) -> tuple[Tails, Spans, Tensor]:
    """The same numbers in fp32."""
    tails, spans, _ = held
    for owner in (tails, *(shared for shared, _, _ in spans)):
        for kept in (owner.keys, owner.values):
            kept[0] = kept[0].float()
    return held


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_does_not_depend_on_the_number_of_threads(dtype: torch.dtype) -> None:
    shape, before, found = (3, 2, 64), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            attend = NativeStepAttention(*memory(50, shape, 9, dtype))
            found.append(attend(*drawn(50, shape, 9, dtype), LayerCall(0, 0.2)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])


def test_a_span_beyond_the_slots_and_a_full_tail_are_refused() -> None:
    shape = (3, 1, 8)
    tails, spans, positions = memory(4, shape, 1)
    q, k, v = drawn(4, shape, 1)
    slots = torch.stack([torch.tensor(tails.rows), torch.tensor(tails.lengths), positions])
    said = {"scaling": 1.0, "window": None, "softcap": None, "sinks": None}
    nodes = ([spans[0][0].keys[0]], [spans[0][0].values[0]], torch.tensor([[0, 0, 5]]))
    held = tails.layer(0, k)
    with pytest.raises(ValueError, match="span 0 is beyond the slots"):
        step_attention(q, k, v, held, slots, tails.positions, nodes, **said)  # type: ignore[arg-type]
    slots[1, 2] = tails.capacity
    nodes = ([], [], torch.zeros((0, 3), dtype=torch.long))
    with pytest.raises(ValueError, match="slot 2 has no place in the tails"):
        step_attention(q, k, v, held, slots, tails.positions, nodes, **said)  # type: ignore[arg-type]


def test_what_it_does_not_cover_goes_the_python_way(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, call = (3, 1, 12), LayerCall(0, 0.3)
    expected = StepAttention(*memory(6, shape, 2))(*drawn(6, shape, 2), call)
    assert torch.equal(step_attend(*memory(6, shape, 2))(*drawn(6, shape, 2), call), expected)
    assert isinstance(step_attend(*memory(6, shape, 2)), NativeStepAttention)
    monkeypatch.setattr(native.library, "available", lambda: False)
    assert isinstance(step_attend(*memory(6, shape, 2)), StepAttention)
