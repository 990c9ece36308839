"""Blocks in closed form against every pair of row and key; FlexAttention against the dense reference."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import flex_attention as torch_flex

from icl.engine.attention import blocks as block_attention
from icl.engine.attention import flex as ours
from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import DenseChunkAttention, PathStack, visibility
from icl.engine.attention.flex import FlexChunkAttention, block_mask, bucket, key_ranges, visible_blocks
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trie.preorder import as_arrays, build_trie

from .tiny import ragged, sequences

CPU = torch.device("cpu")
Sequences = list[tuple[int, ...]]


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """flex_attention's own formula, without tracing it anew for every shape."""
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(ours, "_refused", set())


def pairs(chunk: Chunk, block: int, window: int | None) -> np.ndarray[Any, Any]:
    """bool [R, S + R]: the reference's visible pairs, where the padded arrays have them."""
    ranges = key_ranges(chunk, block)
    seen = visibility(chunk, window).numpy()
    wide = np.zeros((ranges.rows, ranges.keys), dtype=bool)
    wide[: chunk.rows, : chunk.stack_depth] = seen[:, : chunk.stack_depth]
    wide[: chunk.rows, ranges.stack : ranges.stack + chunk.rows] = seen[:, chunk.stack_depth :]
    return wide


@given(
    sequences(longest=14), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]), st.none() | st.integers(1, 6)
)
def test_blocks_cover_exactly_the_visible_pairs(
    some: Sequences, budget: int, block: int, window: int | None
) -> None:
    for chunk in Layout(build_trie(as_arrays(some))).chunks(budget):
        seen = pairs(chunk, block, window)
        tiles = seen.reshape(seen.shape[0] // block, block, -1, block).transpose(0, 2, 1, 3)
        partial, full = visible_blocks(key_ranges(chunk, block), block, window)
        assert partial.shape == full.shape == tiles.shape[:2]
        assert not (partial & full).any()
        assert tiles[full].all()  # a full block is visible pair by pair
        assert not tiles[~(partial | full)].any()  # no visible pair outside the lists
        if window is None:
            assert (partial | full == tiles.any(axis=(2, 3))).all()
            assert (full == tiles.all(axis=(2, 3))).all()


@given(sequences(longest=14), st.integers(1, 40), st.sampled_from([2, 4]), st.none() | st.integers(1, 6))
def test_what_the_kernel_is_given_is_the_visibility(
    some: Sequences, budget: int, block: int, window: int | None
) -> None:
    """Read back as the kernel reads it: full blocks whole, partial ones through the rule."""
    for chunk in Layout(build_trie(as_arrays(some))).chunks(budget):
        mask = block_mask(key_ranges(chunk, block), CPU, window, block)
        expected = pairs(chunk, block, window)
        found = np.zeros_like(expected)
        rows, keys = torch.arange(expected.shape[0])[:, None], torch.arange(expected.shape[1])[None]
        rule = mask.mask_mod(torch.tensor(0), torch.tensor(0), rows, keys).numpy()
        listed = ((mask.kv_num_blocks, mask.kv_indices, rule),
                  (mask.full_kv_num_blocks, mask.full_kv_indices, np.ones_like(rule)))  # fmt: skip
        for counts, indices, inside in listed:
            assert counts is not None
            assert indices is not None
            for r, count in enumerate(counts[0, 0].tolist()):
                for c in indices[0, 0, r, :count].tolist():
                    tile = np.s_[r * block : (r + 1) * block, c * block : (c + 1) * block]
                    found[tile] = inside[tile]
        np.testing.assert_array_equal(found, expected)


def outputs(
    kind: Any,
    layout: Layout,
    budget: int,
    tensors: list[torch.Tensor],
    calls: list[LayerCall],
    **options: Any,
) -> list[torch.Tensor]:
    """The attention of every chunk and call, the stack moving along."""
    q, k, v = tensors
    device = q.device
    stack = PathStack(layout.trie.depth + 1)
    found = []
    for chunk in layout.chunks(budget):
        attend = kind(chunk, stack, device, **options)
        part = slice(chunk.first, chunk.first + chunk.rows)
        found += [attend(q[:, part], k[:, part], v[:, part], call) for call in calls]
        stack.commit()
    return found


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    budget=st.sampled_from([3, 16, 29, 200]),
    heads=st.sampled_from([(4, 4), (4, 2), (6, 2), (3, 1)]),
    window=st.none() | st.integers(1, 20),
    softcap=st.none() | st.just(2.0),
    sinks=st.booleans(),
)
def test_as_the_dense_reference(
    seed: int, budget: int, heads: tuple[int, int], window: int | None, softcap: float | None, sinks: bool
) -> None:
    layout = Layout(build_trie(as_arrays(ragged(seed))))
    draw = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(n, layout.trie.rows, 16, generator=draw) for n in (heads[0], heads[1], heads[1])]
    sink = torch.randn(heads[0], generator=draw) if sinks else None
    calls = [LayerCall(0, 0.25, window, softcap, sink), LayerCall(1, 0.3)]
    expected = outputs(DenseChunkAttention, layout, budget, tensors, calls)
    for block in (4, 16):
        found = outputs(FlexChunkAttention, layout, budget, tensors, calls, block=block)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert not ours._refused


def test_shapes_come_in_few_buckets() -> None:
    assert [bucket(n, 128) for n in (0, 1, 128, 129, 513, 8192)] == [0, 128, 128, 512, 2048, 8192]
    assert len({bucket(n, 128) for n in range(1, 8193)}) == 4


def test_what_does_not_run_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no kernel for this\nand much more")

    layout = Layout(build_trie(as_arrays(ragged(1))))
    tensors = [torch.randn(2, layout.trie.rows, 8) for _ in range(3)]
    calls = [LayerCall(0, 0.25), LayerCall(1, 0.25)]
    expected = outputs(DenseChunkAttention, layout, 20, tensors, calls)
    monkeypatch.setattr(ours, "run_flex", broken)
    with caplog.at_level(logging.WARNING, logger="icl"):
        found = outputs(FlexChunkAttention, layout, 20, tensors, calls)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    [record] = caplog.records
    assert "RuntimeError: no kernel for this)" in record.getMessage()


def test_running_out_of_memory_is_not_a_broken_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    layout = Layout(build_trie(as_arrays(ragged(1))))
    tensors = [torch.randn(2, layout.trie.rows, 8) for _ in range(3)]
    monkeypatch.setattr(ours, "run_flex", full)
    with pytest.raises(torch.OutOfMemoryError):
        outputs(FlexChunkAttention, layout, 20, tensors, [LayerCall(0, 0.25)])
    assert not ours._refused


def test_one_graph_for_all_chunks_of_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler sees new masks, not new functions: it makes one graph a pair of bucket sizes."""
    made = []

    def keep(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        made.append(graph)
        return graph.forward

    compiled = torch.compile(torch_flex.flex_attention, backend=keep, dynamic=False, fullgraph=True)
    monkeypatch.setattr(ours, "run_flex", lambda device, *args, **kwargs: compiled(*args, **kwargs))
    buckets = set()
    for seed in range(3):
        layout = Layout(build_trie(as_arrays(ragged(seed, count=30, length=40))))
        tensors = [torch.randn(n, layout.trie.rows, 16) for n in (4, 2, 2)]
        calls = [LayerCall(0, 0.25), LayerCall(1, 0.25)]
        found = outputs(FlexChunkAttention, layout, 60, tensors, calls, block=16)
        expected = outputs(DenseChunkAttention, layout, 60, tensors, calls)
        assert max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) < 1e-4
        ranges = [key_ranges(chunk, 16) for chunk in layout.chunks(60)]
        buckets |= {(r.rows, r.stack) for r in ranges}
        assert len(ranges) > 3
    assert len(made) == len(buckets)
    assert not ours._refused


def test_a_gpu_gets_it_and_a_cpu_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_attention, "FlexChunkAttention", lambda chunk, stack, device: device.type)
    [chunk] = Layout(build_trie(as_arrays([(1, 2)]))).chunks(9)
    assert block_attention.chunk_attention(chunk, PathStack(3), torch.device("cuda")) == "cuda"
    assert block_attention.chunk_attention(chunk, PathStack(3), CPU) != "cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (20, None), (None, 2.0)])
@pytest.mark.parametrize("sinks", [False, True])
def test_compiled_on_a_gpu(window: int | None, softcap: float | None, sinks: bool) -> None:
    layout = Layout(build_trie(as_arrays(ragged(3, count=40, length=120))))
    draw = torch.Generator().manual_seed(3)
    tensors = [torch.randn(n, layout.trie.rows, 64, generator=draw).cuda() for n in (6, 2, 2)]
    calls = [LayerCall(0, 0.125, window, softcap, torch.randn(6, generator=draw).cuda() if sinks else None)]
    expected = outputs(DenseChunkAttention, layout, 500, tensors, calls)
    found = outputs(FlexChunkAttention, layout, 500, tensors, calls)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert not ours._refused
