"""Memory of a recorded step: what moves in, what stays where it is, and who sees what."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl.engine.decoding.memory import SharedNode, Tails
from icl.engine.decoding.static_memory import SMALLEST_POOL, SharedPool, TailStore
from icl.engine.trie.radix import Node

CPU = torch.device("cpu")


def filled_tails(lengths: list[int]) -> Tails:
    """Two layers of random tails."""
    tails = Tails(CPU)
    tails.add(len(lengths))
    for layer in (0, 1):
        keys, values = tails.layer(layer, torch.empty(2, 1, 4))
        keys.normal_()
        values.normal_()
    tails.lengths = lengths
    return tails


def held(tails: Tails) -> list[torch.Tensor]:
    return [t.clone() for t in (*tails.keys.values(), *tails.values.values(), tails.positions)]


def test_tails_move_in_once_and_stay() -> None:
    tails, store = filled_tails([3, 1, 2]), TailStore()
    before = held(tails)
    assert store.adopt(tails, 4)
    assert all(torch.equal(a, b) for a, b in zip(held(tails), before, strict=True))
    address = store.keys[0].data_ptr()
    assert store.keys[0].shape[0] == 4
    assert tails.keys[0].data_ptr() == address  # a view, not a copy
    assert not store.keys[0][3].any()  # what pads is zero
    tails.keys[1][2, :, 5] = 7.0
    assert not store.adopt(tails, 4)
    assert (store.keys[1][2, :, 5] == 7.0).all()


def test_slots_that_come_and_go_keep_the_address_while_there_is_room() -> None:
    tails, store = filled_tails([3, 1, 2]), TailStore()
    store.adopt(tails, 4)
    address = store.values[1].data_ptr()
    tails.keep([0, 2])
    tails.pack()
    expected = held(tails)
    assert not store.adopt(tails, 2)
    tails.add(2)
    tails.keys[0][3, :, 0] = 5.0
    assert not store.adopt(tails, 4)
    assert all(torch.equal(a[:2], b) for a, b in zip(held(tails), expected, strict=True))
    assert (store.keys[0][3, :, 0] == 5.0).all()
    assert store.values[1].data_ptr() == address
    tails.reserve(tails.capacity + 1)
    expected = held(tails)
    assert store.adopt(tails, 4)  # longer tails do not fit
    assert all(torch.equal(a, b) for a, b in zip(held(tails), expected, strict=True))
    tails.add(1)
    assert store.adopt(tails, 8)  # nor do more rows


def shared_node(length: int, depth: int) -> SharedNode:
    shared = SharedNode(Node(0, length, depth, 0, 9, True))
    for layer in (0, 1):
        shared.put(layer, 0, torch.randn(2, length, 4), torch.randn(2, length, 4))
    return shared


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 9))), max_size=8),
    st.lists(st.integers(1, 200), min_size=6, max_size=6),
)
def test_a_pool_holds_what_the_spans_say(steps: list[list[tuple[int, int, int]]], lengths: list[int]) -> None:
    """Whatever nodes come, go and come back: each slot finds the keys of its nodes and no others."""
    nodes = [shared_node(length, depth) for depth, length in enumerate(lengths)]
    pool = SharedPool(CPU)
    for step in steps:
        spans = {n: (nodes[n], low, low + count) for n, low, count in step}
        addresses = [t.data_ptr() for t in (*pool.keys.values(), pool.ranges)]
        if not pool.adopt(list(spans.values())):
            assert [t.data_ptr() for t in (*pool.keys.values(), pool.ranges)] == addresses
        assert pool.capacity in (0, *(SMALLEST_POOL << n for n in range(8)))
        first, last, depth = pool.ranges
        for slot in range(20):
            columns = ((first <= slot) & (slot < last)).nonzero()[:, 0]
            inside = [shared for shared, low, high in spans.values() if low <= slot < high]
            assert len(columns) == sum(shared.node.length for shared in inside)
            if not inside:
                continue
            inside.sort(key=lambda shared: pool._places[shared])
            expected = torch.cat([shared.values[1] for shared in inside], dim=1)
            assert torch.equal(pool.values[1][:, columns], expected)
            depths = [range(s.node.depth, s.node.depth + s.node.length) for s in inside]
            assert depth[columns].tolist() == list(itertools.chain(*depths))


def test_unchanged_spans_touch_nothing() -> None:
    pool, node = SharedPool(CPU), shared_node(5, 0)
    assert pool.adopt([(node, 0, 3)])
    assert not pool.adopt([(node, 0, 3)])
    assert not pool.adopt([(node, 0, 2)])
    assert int(((pool.ranges[0] <= 2) & (pool.ranges[1] > 2)).sum()) == 0
