"""The compiled attention over a chunk against the dense mask: any trie, cut, window, cap, sinks, format."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from icl.engine.attention import blocks
from icl.engine.attention.blocks import BlockChunkAttention, chunk_attention
from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import DenseChunkAttention, PathStack, visibility
from icl.engine.attention.native import NativeChunkAttention
from icl.engine.attention.spans import span_plan
from icl.engine.native.attention import tree_attention
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.types import GenerateRequest, Generation, ScoreRequest, TokenIds

from ..tiny import largest_difference, ragged, sequences, tiny_pair

CPU = torch.device("cpu")
SHAPES = st.tuples(
    st.sampled_from([1, 2, 3, 7]), st.integers(1, 3), st.sampled_from([8, 24, 64, 80, 128, 256])
)
"""Query heads a key head, key heads, size of a head."""


def refused(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
    raise AssertionError("a covered call went to the other path")


def drawn(
    shape: tuple[int, int, int], rows: int, draw: torch.Generator, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """q and k [heads, T, D] contiguous, v a view of [T, heads, D], as the trunks give them."""
    group, kv_heads, size = shape
    q, k = (torch.randn(h, rows, size, generator=draw).to(dtype) for h in (group * kv_heads, kv_heads))
    return q, k, torch.randn(rows, kv_heads, size, generator=draw).to(dtype).transpose(0, 1)


def layout_of(texts: list[tuple[int, ...]]) -> Layout:
    return Layout(build_trie(as_arrays(texts)))


def many_texts(seed: int = 0) -> Layout:
    """About 900 rows: forks at every depth, some texts long."""
    draw = np.random.default_rng(seed)
    texts = [tuple(draw.integers(0, 99, 300).tolist())]
    for _ in range(30):
        stem = texts[int(draw.integers(len(texts)))]
        cut, more = int(draw.integers(1, len(stem))), int(draw.integers(2, 60))
        texts.append((*stem[:cut], *draw.integers(0, 99, more).tolist()))
    return layout_of(texts)


def texts(answers: Sequence[Generation]) -> list[TokenIds]:
    return [sample.token_ids for answer in answers for sample in answer.samples]


@pytest.mark.usefixtures("kernels")
@settings(deadline=None, max_examples=60)
@given(
    sequences(),
    st.integers(1, 40),
    SHAPES,
    st.sampled_from([None, 3, 20]),
    st.sampled_from([None, 1.5]),
    st.booleans(),
    st.integers(0, 99),
)
def test_it_agrees_with_the_dense_mask(
    some: list[tuple[int, ...]],
    budget: int,
    shape: tuple[int, int, int],
    window: int | None,
    softcap: float | None,
    sinks: bool,
    seed: int,
) -> None:
    layout, draw = layout_of(some), torch.Generator().manual_seed(seed)
    heads, size = shape[0] * shape[1], shape[2]
    sink = 2 * torch.randn(heads, generator=draw) if sinks else None
    call = LayerCall(0, 2 * size**-0.5, window, softcap, sink)
    stacks = [PathStack(layout.trie.depth + 1) for _ in range(2)]
    for chunk in layout.chunks(budget):
        q, k, v = drawn(shape, chunk.rows, draw)
        expected = DenseChunkAttention(chunk, stacks[0], CPU)(q, k, v, call)
        found = NativeChunkAttention(chunk, stacks[1], refused)(q, k, v, call)
        assert found.transpose(0, 1).is_contiguous()
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        for stack in stacks:
            stack.commit()
        for held, other in zip(stacks[0].keys.values(), stacks[1].keys.values(), strict=True):
            assert torch.equal(held[:, : chunk.keep_depth], other[:, : chunk.keep_depth])


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_it_agrees_over_many_tiles_and_blocks(window: int | None, softcap: float | None) -> None:
    layout, draw = many_texts(), torch.Generator().manual_seed(0)
    call = LayerCall(0, 0.3, window, softcap)
    stacks = [PathStack(layout.trie.depth + 1) for _ in range(2)]
    for chunk in layout.chunks(500):
        q, k, v = drawn((3, 2, 64), chunk.rows, draw)
        expected = DenseChunkAttention(chunk, stacks[0], CPU)(q, k, v, call)
        found = NativeChunkAttention(chunk, stacks[1], refused)(q, k, v, call)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        for stack in stacks:
            stack.commit()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [64, 80])
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (50, None), (None, 5.0)])
def test_it_is_no_further_from_fp32_than_blocks_are(
    dtype: torch.dtype, size: int, window: int | None, softcap: float | None
) -> None:
    layout, draw = many_texts(), torch.Generator().manual_seed(0)
    call = LayerCall(0, 2 * size**-0.5, window, softcap)
    chunk = layout.chunk(0, layout.trie.rows)
    q, k, v = drawn((3, 2, size), chunk.rows, draw, dtype)
    stack = PathStack(layout.trie.depth + 1)
    exact = DenseChunkAttention(chunk, stack, CPU)(q.float(), k.float(), v.float(), call)
    found = NativeChunkAttention(chunk, PathStack(layout.trie.depth + 1), refused)(q, k, v, call)
    theirs = BlockChunkAttention(chunk, PathStack(layout.trie.depth + 1))(q, k, v, call)
    assert found.dtype == dtype
    assert (found.float() - exact).square().mean() <= 1.02 * (theirs.float() - exact).square().mean()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_does_not_depend_on_the_number_of_threads(dtype: torch.dtype) -> None:
    layout, draw = many_texts(), torch.Generator().manual_seed(0)
    chunk = layout.chunk(0, layout.trie.rows)
    q, k, v = drawn((3, 2, 64), chunk.rows, draw, dtype)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            attend = NativeChunkAttention(chunk, PathStack(layout.trie.depth + 1), refused)
            found.append(attend(q, k, v, LayerCall(0, 0.2)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])


@given(sequences(), st.integers(1, 40), st.integers(1, 9), st.sampled_from([None, 3]))
def test_a_plan_names_every_visible_pair_once(
    some: list[tuple[int, ...]], budget: int, rows: int, window: int | None
) -> None:
    for chunk in layout_of(some).chunks(budget):
        plan = span_plan(chunk, rows, window)
        low, high, place = plan.keys.numpy()
        found = np.zeros((chunk.rows, chunk.stack_depth + chunk.rows), dtype=np.int64)
        for block, (a, b) in enumerate(zip(plan.starts[:-1], plan.starts[1:], strict=True)):
            at = np.arange(block * rows, min((block + 1) * rows, chunk.rows))[:, None]
            for first, count, full in plan.spans[a:b].tolist():
                key = np.arange(first, first + count)
                assert (first < chunk.stack_depth) == (first + count <= chunk.stack_depth)
                seen = (low[key] <= at) & (at < high[key])
                if window is not None:
                    seen &= chunk.positions[at] - place[key] < window
                assert seen.all() or not full
                found[at[:, 0, None], key] += seen
        np.testing.assert_array_equal(found, visibility(chunk, window).numpy())


@pytest.mark.usefixtures("kernels")
def test_a_row_that_sees_nothing_is_zero() -> None:
    q, k, v = drawn((2, 1, 8), 3, torch.Generator().manual_seed(0))
    keys = torch.zeros((3, 3), dtype=torch.int32)
    none = (keys, torch.zeros((0, 3), dtype=torch.int32), torch.zeros(2, dtype=torch.int32), 16)
    said = {"scaling": 1.0, "window": None, "softcap": None}
    for sinks in (None, torch.ones(2)):
        out = tree_attention(q, k, v, (k[:, :0], v[:, :0]), none, sinks=sinks, **said)  # type: ignore[arg-type]
        assert torch.equal(out, torch.zeros_like(q))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "spans", [[[0, 4, 1]], [[-1, 2, 1]], [[3, 1, 1]], [[1, 0, 1]]], ids=["long", "before", "past", "empty"]
)
def test_a_plan_beyond_the_keys_is_refused(spans: list[list[int]]) -> None:
    q, k, v = drawn((2, 1, 8), 3, torch.Generator().manual_seed(0))
    keys, table = torch.zeros((3, 3), dtype=torch.int32), torch.tensor(spans, dtype=torch.int32)
    plan = (keys, table, torch.tensor([0, 1], dtype=torch.int32), 16)
    with pytest.raises(ValueError, match="span 0 is not within"):
        tree_attention(
            q, k, v, (k[:, :0], v[:, :0]), plan, scaling=1.0, window=None, softcap=None, sinks=None
        )


@pytest.mark.usefixtures("kernels")
def test_what_it_does_not_cover_goes_the_other_way() -> None:
    chunk = layout_of([(1, 2, 3)]).chunk(0, 3)
    for size, dtype in ((12, torch.float32), (264, torch.float32), (8, torch.float64)):
        stack = PathStack(4)
        attend = NativeChunkAttention(chunk, stack, DenseChunkAttention(chunk, stack, CPU))
        q, k, v = drawn((2, 1, size), 3, torch.Generator().manual_seed(0), dtype)
        expected = DenseChunkAttention(chunk, PathStack(4), CPU)(q, k, v, LayerCall(0, 0.3))
        assert torch.equal(attend(q, k, v, LayerCall(0, 0.3)), expected)


@pytest.mark.usefixtures("kernels")
def test_it_is_the_first_choice_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = layout_of([(1, 2, 3)]).chunk(0, 3)
    assert isinstance(chunk_attention(chunk, PathStack(4), CPU), NativeChunkAttention)
    monkeypatch.setattr(blocks.library, "available", lambda: False)
    assert isinstance(chunk_attention(chunk, PathStack(4), CPU), BlockChunkAttention)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3", "opt", "mistral", "gemma2", "gpt-oss"])
def test_whole_models_score_and_write_alike_with_and_without_it(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = tiny_pair(family)
    asks = [ScoreRequest(t[:-2], (t[-2:], (5,))) for t in ragged(seed=3, count=6, length=30)]
    writes = [
        GenerateRequest(t, n=2, max_tokens=4, temperature=1.0, seed=1)
        for t in ragged(seed=4, count=3, length=20)
    ]
    calls: list[Chunk] = []
    plan = NativeChunkAttention.plan

    def told(self: NativeChunkAttention, *args: int) -> object:
        calls.append(self.chunk)
        return plan(self, *args)

    monkeypatch.setattr(NativeChunkAttention, "plan", told)
    naive = pair.naive.score(asks)
    for rows in (7, 2048):
        assert largest_difference(pair.trie(chunk_rows=rows).score(asks), naive) < 1e-4
    with_it = texts(pair.trie(chunk_rows=7).generate(writes))
    assert calls
    calls.clear()
    monkeypatch.setattr(blocks.library, "available", lambda: False)
    assert texts(pair.trie(chunk_rows=7).generate(writes)) == with_it
    assert not calls


NARROW = """
import torch
from tests.engine.native.test_native_tree_attention import *
from icl.engine.native import library
assert library.available(), library.why_not()
layout, draw = many_texts(), torch.Generator().manual_seed(0)
for size, dtype, within in ((64, torch.float32, 1e-5), (24, torch.float32, 1e-5), (80, torch.bfloat16, 1e-2)):
    chunk = layout.chunk(0, layout.trie.rows)
    call = LayerCall(0, 0.3, 60, 5.0)
    q, k, v = drawn((3, 2, size), chunk.rows, draw, dtype)
    expected = DenseChunkAttention(chunk, PathStack(999), CPU)(q.float(), k.float(), v.float(), call)
    found = NativeChunkAttention(chunk, PathStack(999), refused)(q, k, v, call).float()
    assert (found - expected).abs().max() <= within * expected.abs().max(), (size, dtype)
print(library.ops().instructions())
"""


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_narrower_vectors_agree_too(capability: str) -> None:
    env = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run([sys.executable, "-c", NARROW], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert done.stdout.strip() == {"avx2": "AVX2", "default": "no wide vectors"}[capability]
