"""Attention in blocks on CPU against the dense mask: any trie, chunk budget, block size, window and sinks."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icl.engine.attention import dense as attention
from icl.engine.attention.blocks import BlockChunkAttention, grouped, row_blocks, torch_attention
from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import DenseChunkAttention, PathStack, fast_attention, visibility
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import as_arrays, build_trie

from .tiny import sequences

HEADS, KV_HEADS, SIZE = 6, 2, 8
CPU = torch.device("cpu")


@settings(deadline=None)
@given(
    sequences(),
    st.integers(1, 40),
    st.sampled_from([1, 4, 128]),
    st.sampled_from([None, 3]),
    st.booleans(),
    st.integers(0, 99),
)
def test_blocks_agree_with_the_dense_mask(
    some: list[tuple[int, ...]], budget: int, rows: int, window: int | None, sinks: bool, seed: int
) -> None:
    layout = Layout(build_trie(as_arrays(some)))
    draw = torch.Generator().manual_seed(seed)
    call = LayerCall(0, 0.3, window, None, torch.randn(HEADS, generator=draw) if sinks else None)
    stacks = [PathStack(layout.trie.depth + 1) for _ in range(2)]
    for chunk in layout.chunks(budget):
        q, k, v = (
            torch.randn(heads, chunk.rows, SIZE, generator=draw) for heads in (HEADS, KV_HEADS, KV_HEADS)
        )
        dense = DenseChunkAttention(chunk, stacks[0], CPU)(q, k, v, call)
        blocks = BlockChunkAttention(chunk, stacks[1], rows)(q, k, v, call)
        assert torch.allclose(dense, blocks, atol=1e-5)
        for stack in stacks:
            stack.commit()


@given(sequences(), st.integers(1, 40), st.integers(1, 9), st.sampled_from([None, 3]))
def test_blocks_cover_every_visible_pair_once(
    some: list[tuple[int, ...]], budget: int, size: int, window: int | None
) -> None:
    for chunk in Layout(build_trie(as_arrays(some))).chunks(budget):
        expected = visibility(chunk, window).numpy()
        found = np.zeros_like(expected)
        blocks = list(row_blocks(chunk, size, window))
        for block in blocks:
            found[block.first : block.last, block.columns] |= block.seen
        np.testing.assert_array_equal(found, expected)
        groups = list(grouped(blocks, 3, torch.float32))
        assert [g.first for g in groups] == [0, *(g.last for g in groups[:-1])]
        assert groups[-1].last == chunk.rows
        assert sum(g.blocks for g in groups) == len(blocks)


def test_without_the_kernel_the_dense_way_is_taken_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Without:
        pass

    attention.has_kernel.cache_clear()
    monkeypatch.setattr(attention.torch.ops, "aten", Without(), raising=False)
    try:
        chunk = next(Layout(build_trie(as_arrays([(1, 2, 3)]))).chunks(8))
        with caplog.at_level(logging.WARNING, logger="icl"):
            kinds = [type(torch_attention(chunk, PathStack(4), CPU)) for _ in range(2)]
        assert kinds == [DenseChunkAttention] * 2
        assert len(caplog.records) == 1
        q, k = torch.ones(1, 2, 1, 4), torch.ones(1, 1, 3, 4)
        out, lse = fast_attention(q, k, k, None, LayerCall(0, 1.0))
    finally:
        monkeypatch.undo()
        attention.has_kernel.cache_clear()
    assert torch.allclose(out, torch.ones(1, 2, 1, 4))
    assert torch.allclose(lse, torch.full((1, 2, 1), 4.0 + float(np.log(3))))
