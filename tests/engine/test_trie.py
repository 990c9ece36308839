"""The trie of ragged sequences, against sets of prefixes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.engine.trie import preorder as trie_module
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import Trie, as_arrays, build_trie, count_unique, subtree_ends

from .tiny import sequences

Sequences = list[tuple[int, ...]]


def prefixes(some: Sequences) -> set[tuple[int, ...]]:
    return {s[:n] for s in some for n in range(1, len(s) + 1)}


def row_prefixes(trie: Trie) -> list[tuple[int, ...]]:
    """The prefix that each row stands for, read from the layout's tokens and depths alone."""
    layout = Layout(trie)
    path: list[int] = []
    found = []
    for token, depth in zip(layout.tokens.tolist(), layout.depths.tolist(), strict=True):
        del path[depth:]
        path.append(token)
        found.append(tuple(path))
    return found


@given(sequences())
def test_each_prefix_has_exactly_one_row(some: Sequences) -> None:
    trie = build_trie(as_arrays(some))
    found = row_prefixes(trie)
    assert trie.rows == len(found) == len(set(found)) == count_unique(as_arrays(some))
    assert set(found) == prefixes(some)
    assert trie.flat == sum(map(len, some))
    assert trie.depth == max(map(len, some))


@given(sequences())
def test_end_is_the_row_past_the_subtree(some: Sequences) -> None:
    trie = build_trie(as_arrays(some))
    found = row_prefixes(trie)
    end = subtree_ends(trie)
    for j, prefix in enumerate(found):
        below = [i for i, other in enumerate(found) if other[: len(prefix)] == prefix]
        assert below == list(range(j, end[j]))


@given(sequences())
def test_sorted_stably_with_shared_lengths(some: Sequences) -> None:
    trie = build_trie(as_arrays(some))
    order = trie.order.tolist()
    assert order == sorted(range(len(some)), key=lambda i: (some[i], i))
    for s, index in enumerate(order):
        before = some[order[s - 1]] if s else ()
        common = 0
        while common < min(len(before), len(some[index])) and before[common] == some[index][common]:
            common += 1
        assert trie.shared[s] == common
        assert trie.lengths[s] == len(some[index])


@given(sequences())
def test_paths_lead_through_the_prefixes(some: Sequences) -> None:
    trie = build_trie(as_arrays(some))
    found = row_prefixes(trie)
    seen = []
    for s, rows in Layout(trie).path_rows():
        whole = some[int(trie.order[s])]
        assert [found[r] for r in rows] == [whole[: n + 1] for n in range(len(whole))]
        seen.append(s)
    assert seen == list(range(len(some)))


@given(sequences(), st.integers(1, 5))
def test_blockwise_comparison_changes_nothing(some: Sequences, block: int) -> None:
    expected = build_trie(as_arrays(some))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_module, "COMPARE_ROWS", block)
        found = build_trie(as_arrays(some))
    np.testing.assert_array_equal(found.shared, expected.shared)
    np.testing.assert_array_equal(found.starts, expected.starts)


def test_ids_are_ordered_as_numbers() -> None:
    """Token ids above one byte: a sort of little-endian bytes would put 256 before 1."""
    some = [(256, 1), (1, 2), (255,), (70000,), (256,)]
    trie = build_trie(as_arrays(some))
    assert [some[i] for i in trie.order] == sorted(some)
    assert trie.rows == 6


def test_nothing_is_no_tokens() -> None:
    assert count_unique([]) == 0
