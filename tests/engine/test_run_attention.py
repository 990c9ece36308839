"""Attention in long runs on CPU against the dense mask: any trie, chunk budget, window and sinks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icl.engine.attention import blocks as blocks_module
from icl.engine.attention.blocks import DTYPES, BlockChunkAttention, torch_attention
from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import DenseChunkAttention, PathStack
from icl.engine.attention.runs import LONG_RUN, RunChunkAttention, chunk_runs
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.types import ScoreRequest

from .tiny import largest_difference, sequences, tiny_pair

HEADS, KV_HEADS, SIZE = 6, 2, 8
CPU = torch.device("cpu")


@settings(deadline=None, max_examples=25)
@given(
    sequences(),
    st.integers(1, 40),
    st.sampled_from([None, 3, 100]),
    st.sampled_from([None, 1.5]),
    st.booleans(),
    st.integers(0, 99),
)
def test_runs_agree_with_the_dense_mask(
    some: list[tuple[int, ...]],
    budget: int,
    window: int | None,
    softcap: float | None,
    sinks: bool,
    seed: int,
) -> None:
    layout = Layout(build_trie(as_arrays(some)))
    draw = torch.Generator().manual_seed(seed)
    call = LayerCall(0, 0.3, window, softcap, torch.randn(HEADS, generator=draw) if sinks else None)
    stacks = [PathStack(layout.trie.depth + 1) for _ in range(2)]
    for chunk in layout.chunks(budget):
        q, k, v = (
            torch.randn(heads, chunk.rows, SIZE, generator=draw) for heads in (HEADS, KV_HEADS, KV_HEADS)
        )
        dense = DenseChunkAttention(chunk, stacks[0], CPU)(q, k, v, call)
        other = BlockChunkAttention(chunk, stacks[1])
        runs = RunChunkAttention(chunk, stacks[1], other, DTYPES)(q, k, v, call)
        assert torch.allclose(dense, runs, atol=1e-5)
        assert [row for a, b in chunk_runs(chunk) for row in range(a, b)] == list(range(chunk.rows))
        for stack in stacks:
            stack.commit()


def test_long_texts_go_by_runs_and_many_short_ones_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = PathStack(10_000)
    long = Layout(build_trie(as_arrays([range(3 * LONG_RUN)])))
    assert isinstance(torch_attention(long.chunk(0, long.trie.rows), stack, CPU), RunChunkAttention)
    many = Layout(build_trie(as_arrays([[i, *range(20)] for i in range(50)])))
    assert isinstance(torch_attention(many.chunk(0, many.trie.rows), stack, CPU), BlockChunkAttention)

    pair = tiny_pair("llama")
    texts = [tuple(3 + (7 * i + j * j) % 100 for j in range(60)) for i in range(3)]
    texts.append((*texts[0][:40], *texts[1][:30]))
    asks = [ScoreRequest(t[:-2], (t[-2:], (5,))) for t in texts]
    monkeypatch.setattr(blocks_module, "has_long_runs", lambda chunk: True)
    monkeypatch.setattr(blocks_module.library, "available", lambda: False)
    for rows in (33, 2048):
        assert largest_difference(pair.trie(chunk_rows=rows).score(asks), pair.naive.score(asks)) < 1e-4
