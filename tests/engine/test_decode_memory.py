"""Tails of samples that come and go, and what a decode step sees of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.decoding.memory import StepAttention, Tails

CPU = torch.device("cpu")
HEADS, KV_HEADS, SIZE = 4, 2, 8


def filled(tails: Tails, slot: int, length: int) -> tuple[Tensor, Tensor]:
    """Writes `length` random keys and values into a slot; a copy of them, [Hkv, length, D]."""
    keys, values = tails.layer(0, torch.empty(KV_HEADS, 1, SIZE))
    row = tails.rows[slot]
    k, v = torch.randn(2, KV_HEADS, length, SIZE)
    keys[row, :, :length], values[row, :, :length] = k, v
    tails.positions[row, :length] = torch.arange(length)
    tails.lengths[slot] = length
    return k, v


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 4)),
            st.tuples(st.just("drop"), st.integers(0, 7)),
            st.tuples(st.just("reserve"), st.integers(1, 200)),
            st.tuples(st.just("pack"), st.just(0)),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_slot_keeps_its_own_tail_whatever_comes_and_goes(steps: list[tuple[str, int]]) -> None:
    tails, expected = Tails(CPU), []
    for what, number in steps:
        if what == "add":
            first = len(expected)
            tails.add(number)
            expected += [filled(tails, first + i, 1 + (first + i) % 5) for i in range(number)]
        elif what == "drop" and expected:
            gone = number % len(expected)
            tails.keep([s for s in range(len(expected)) if s != gone])
            del expected[gone]
        elif what == "reserve":
            tails.reserve(number)
            assert tails.capacity >= number
        elif what == "pack":
            tails.pack()
            assert tails.packed
        assert len(set(tails.rows)) == len(tails.rows) == len(tails.lengths) == len(expected)
        for row, length, (k, v) in zip(tails.rows, tails.lengths, expected, strict=True):
            assert torch.equal(tails.keys[0][row, :, :length], k)
            assert torch.equal(tails.values[0][row, :, :length], v)
            assert tails.positions[row, :length].tolist() == list(range(length))


def test_a_sample_that_ends_moves_nothing_and_leaves_its_row_to_the_next() -> None:
    tails = Tails(CPU)
    tails.add(4)
    for slot in range(4):
        filled(tails, slot, 3)
    address = tails.keys[0].data_ptr()
    tails.keep([0, 2, 3])
    assert (tails.rows, tails.held) == ([0, 2, 3], 4)
    tails.add(1)
    assert (tails.rows, tails.held) == ([0, 2, 3, 1], 4)
    assert tails.keys[0].data_ptr() == address
    tails.keep([1, 3])  # half of the rows are idle now: they are given back
    assert (tails.rows, tails.held) == ([0, 1], 2)


@pytest.mark.parametrize("window", [None, 3])
def test_a_step_over_idle_rows_sees_what_each_slot_sees_by_itself(window: int | None) -> None:
    torch.manual_seed(0)
    tails = Tails(CPU)
    tails.add(5)
    texts = [filled(tails, slot, length) for slot, length in enumerate((4, 6, 2, 5, 3))]
    tails.keep([0, 2, 4])
    tails.add(1)
    texts = [texts[0], texts[2], texts[4], filled(tails, 3, 7)]
    assert not tails.packed
    assert tails.rows != sorted(tails.rows)
    q = torch.randn(HEADS, 4, SIZE)
    k, v = torch.randn(2, KV_HEADS, 4, SIZE)
    positions = torch.tensor(tails.lengths)
    call = LayerCall(0, SIZE**-0.5, window)
    out = StepAttention(tails, [], positions)(q, k, v, call)
    for slot, (old_k, old_v) in enumerate(texts):
        keys = torch.cat([old_k, k[:, slot : slot + 1]], dim=1)[:, -(window or 99) :]
        values = torch.cat([old_v, v[:, slot : slot + 1]], dim=1)[:, -(window or 99) :]
        grouped = q[:, slot].view(KV_HEADS, HEADS // KV_HEADS, SIZE)
        weights = torch.softmax(grouped @ keys.transpose(1, 2) * call.scaling, dim=-1)
        assert torch.allclose(out[:, slot], (weights @ values).view(HEADS, SIZE), atol=1e-5)
