"""Chunks of the preorder: each row once, each row's ancestors and nothing else, bounded memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from icl.engine.attention.dense import visibility
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trie.preorder import as_arrays, build_trie

from .tiny import sequences

Sequences = list[tuple[int, ...]]
Floats = NDArray[np.float64]


def ancestors(layout: Layout) -> list[list[int]]:
    """For each row its ancestors, root first, and itself."""
    path: list[int] = []
    found = []
    for row, depth in enumerate(layout.depths.tolist()):
        del path[depth:]
        path.append(row)
        found.append(list(path))
    return found


def advance(stack: list[int], chunk: Chunk) -> list[int]:
    """The rows on the path stack after a chunk."""
    return [*stack[: chunk.keep_depth], *(chunk.first + chunk.push).tolist()]


@given(sequences(), st.integers(1, 20))
def test_each_row_is_in_one_chunk_in_order(some: Sequences, budget: int) -> None:
    layout = Layout(build_trie(as_arrays(some)))
    rows = [r for c in layout.chunks(budget) for r in range(c.first, c.first + c.rows)]
    assert rows == list(range(layout.trie.rows))
    assert all(c.rows <= budget for c in layout.chunks(budget))
    tokens = np.concatenate([c.tokens for c in layout.chunks(budget)])
    np.testing.assert_array_equal(tokens, layout.tokens)


@given(sequences(), st.integers(1, 20), st.one_of(st.none(), st.integers(1, 4)))
def test_a_row_sees_exactly_its_ancestors(some: Sequences, budget: int, window: int | None) -> None:
    layout = Layout(build_trie(as_arrays(some)))
    expected = ancestors(layout)
    stack: list[int] = []
    for chunk in layout.chunks(budget):
        assert chunk.stack_depth <= len(stack)
        keys = stack[: chunk.stack_depth] + list(range(chunk.first, chunk.first + chunk.rows))
        seen = visibility(chunk, window).numpy()
        assert seen.shape == (chunk.rows, len(keys))
        for i in range(chunk.rows):
            path = expected[chunk.first + i]
            visible = [keys[n] for n in np.flatnonzero(seen[i])]
            assert sorted(visible) == path[-window:] if window else path == sorted(visible)
        stack = advance(stack, chunk)


@given(sequences(), st.integers(1, 20))
def test_memory_is_bounded_by_longest_path_and_budget(some: Sequences, budget: int) -> None:
    layout = Layout(build_trie(as_arrays(some)))
    stack: list[int] = []
    for chunk in layout.chunks(budget):
        assert len(stack) + chunk.rows <= layout.trie.depth + budget
        stack = advance(stack, chunk)
        assert len(stack) <= layout.trie.depth


@given(sequences(), st.integers(1, 6), st.data())
def test_stopping_and_going_on_is_the_same_walk(some: Sequences, budget: int, data: st.DataObject) -> None:
    """Decoding prefills the preorder in pieces: the stack must be right at every cut."""
    layout = Layout(build_trie(as_arrays(some)))
    expected = ancestors(layout)
    cuts = sorted(data.draw(st.sets(st.integers(1, layout.trie.rows))) | {0, layout.trie.rows})
    stack: list[int] = []
    for low, high in itertools.pairwise(cuts):
        for chunk in layout.chunks(budget, low, high):
            assert chunk.first + chunk.rows <= high
            assert stack == expected[chunk.first][:-1]
            stack = advance(stack, chunk)


def softmax_attention(q: Floats, k: Floats, v: Floats, seen: NDArray[np.bool_]) -> Floats:
    scores = np.where(seen, q @ k.T, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


@given(sequences(longest=14), st.integers(1, 40), st.integers(0, 1000))
def test_attention_over_chunks_is_attention_over_each_sequence(
    some: Sequences, budget: int, seed: int
) -> None:
    """Two layers in float64, keys and values on a stack by depth, against every sequence alone."""
    draw = np.random.default_rng(seed)
    size = 4
    embedding = draw.normal(size=(3, size))
    place = draw.normal(size=(16, size))
    weights = draw.normal(size=(2, 3, size, size))  # layer; query, key, value

    def layers(x: Floats, attend: list[object]) -> Floats:
        for (wq, wk, wv), attention in zip(weights, attend, strict=True):
            x = np.tanh(x + attention(x @ wq, x @ wk, x @ wv))  # type: ignore[operator]
        return x

    layout = Layout(build_trie(as_arrays(some)))
    stacks = [(np.empty((0, size)), np.empty((0, size))) for _ in weights]
    hidden = np.empty((layout.trie.rows, size))
    for chunk in layout.chunks(budget):
        seen = visibility(chunk).numpy()

        def over_stack(layer: int, chunk: Chunk = chunk, seen: NDArray[np.bool_] = seen) -> object:
            def attention(q: Floats, k: Floats, v: Floats) -> Floats:
                keys, values = stacks[layer]
                depth, keep = chunk.stack_depth, chunk.keep_depth
                out = softmax_attention(
                    q, np.concatenate([keys[:depth], k]), np.concatenate([values[:depth], v]), seen
                )
                stacks[layer] = (
                    np.concatenate([keys[:keep], k[chunk.push]]),
                    np.concatenate([values[:keep], v[chunk.push]]),
                )
                return out

            return attention

        x = embedding[chunk.tokens] + place[chunk.positions]
        hidden[chunk.first : chunk.first + chunk.rows] = layers(x, [over_stack(0), over_stack(1)])

    for s, rows in layout.path_rows():
        tokens = np.array(some[int(layout.trie.order[s])])
        causal = np.tril(np.ones((len(tokens), len(tokens)), dtype=bool))

        def alone(q: Floats, k: Floats, v: Floats, seen: NDArray[np.bool_] = causal) -> Floats:
            return softmax_attention(q, k, v, seen)

        expected = layers(embedding[tokens] + place[: len(tokens)], [alone, alone])
        assert np.abs(hidden[rows] - expected).max() < 1e-12


def test_a_budget_below_one_row_is_refused() -> None:
    layout = Layout(build_trie(as_arrays([(1, 2)])))
    with pytest.raises(ValueError, match="at least one row, not 0"):
        list(layout.chunks(0))
