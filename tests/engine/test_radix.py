"""Radix nodes, against the set of sequences that pass through each row."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.engine.trie import radix
from icl.engine.trie.plan import Layout
from icl.engine.trie.preorder import Trie, as_arrays, build_trie
from icl.engine.trie.radix import Node, radix_nodes, slot_tokens

from .tiny import sequences

Sequences = list[tuple[int, ...]]


def passing(trie: Trie) -> list[set[int]]:
    """For each row the sorted sequences whose path it is on."""
    found: list[set[int]] = [set() for _ in range(trie.rows)]
    for s, rows in Layout(trie).path_rows():
        for row in rows.tolist():
            found[row].add(s)
    return found


def nodes_of(some: Sequences, samples: int = 1) -> tuple[Trie, list[Node]]:
    trie = build_trie(as_arrays(list(dict.fromkeys(some))))
    return trie, radix_nodes(trie, [samples] * len(trie.order))


@given(sequences())
def test_nodes_are_the_runs_that_the_same_sequences_pass_through(some: Sequences) -> None:
    trie, nodes = nodes_of(some)
    through = passing(trie)
    assert [r for n in nodes for r in range(n.row, n.row + n.length)] == list(range(trie.rows))
    for node in nodes:
        members = set(range(node.first, node.last))
        assert all(through[r] == members for r in range(node.row, node.row + node.length))


@given(sequences())
def test_nodes_are_maximal(some: Sequences) -> None:
    trie, nodes = nodes_of(some)
    through = passing(trie)
    for before, after in itertools.pairwise(nodes):
        goes_on = after.depth == before.depth + before.length
        if goes_on:
            assert through[before.row] != through[after.row]


@given(sequences())
def test_the_nodes_of_a_sequence_are_its_path(some: Sequences) -> None:
    trie, nodes = nodes_of(some)
    for s, rows in Layout(trie).path_rows():
        own = sorted((n for n in nodes if n.first <= s < n.last), key=lambda n: n.depth)
        assert [n.depth for n in own] == [sum(m.length for m in own[:i]) for i in range(len(own))]
        assert [r for n in own for r in range(n.row, n.row + n.length)] == rows.tolist()


@given(sequences(), st.data())
def test_a_node_is_shared_where_that_saves_memory_or_its_samples_fork(
    some: Sequences, data: st.DataObject
) -> None:
    trie = build_trie(as_arrays(list(dict.fromkeys(some))))
    samples = data.draw(
        st.lists(st.integers(1, 3), min_size=len(trie.order), max_size=len(trie.order)), label="samples"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(radix, "SHARE_TOKENS", 6)
        nodes = radix_nodes(trie, samples)
    for node in nodes:
        inside = range(node.first, node.last)
        saved = node.length * (sum(samples[s] for s in inside) - 1)
        forks = any(samples[s] > 1 for s in inside)
        assert node.shared == (saved >= 6 or forks)


def test_what_memory_holds_for_one_sample() -> None:
    trie = build_trie(as_arrays([(1, 2, 3, 4), (1, 2, 9), (5, 6, 7), (7, 8, 9)]))
    assert trie.order.tolist() == [0, 1, 2, 3]

    def held(samples: list[int]) -> list[int]:
        """Of each sequence: the others do not write."""
        nodes = radix_nodes(trie, samples)
        far = 100
        return [slot_tokens(nodes, samples, [far * (s == i) for i in range(4)]) - far for s in range(4)]

    # nobody forks: "1 2" is too short to be shared and stands in both tails
    assert held([1, 1, 1, 1]) == [4, 3, 3, 3]
    # two samples of the first share "3 4", and "1 2" with the second; two of the third share its three tokens
    assert held([2, 1, 2, 1]) == [1 + 1, 1 + 1, 2, 3]


def test_a_long_prompt_that_all_share_counts_once() -> None:
    _, nodes = nodes_of([(*range(900), 1000 + i, 7) for i in range(5)])
    assert slot_tokens(nodes, [1] * 5, [8] * 5) == 900 // 5 + 2 + 8
    _, nodes = nodes_of([(*range(900), 1000 + i, 7) for i in range(900)])
    assert slot_tokens(nodes, [1] * 900, [8] * 900) == 1 + 2 + 8
