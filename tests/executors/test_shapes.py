"""Closed forms of even tries, against tries of sequences that are written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.engine.trie.preorder import as_arrays, build_trie
from icl.executors.cutting import choose_borders, choose_for_workers, report_on, sort_requests
from icl.executors.shapes import EvenTree, GridShape

Levels = list[tuple[int, int]]


def written_out(levels: Levels) -> list[tuple[int, ...]]:
    """The sequences of an even tree: each node's tokens are its number on its level."""
    found = []
    for path in product(*(range(children) for children, _ in levels)):
        node, sequence = 0, ()
        for at, (children, tokens) in zip(path, levels, strict=True):
            node = node * children + at
            sequence += (node,) * tokens
        found.append(sequence)
    return found


def as_matrix(shape: GridShape) -> list[np.ndarray]:
    """The prompts of a grid as rows of one array."""
    sets, shown = shape.cells * shape.seeds, shape.shots * shape.demonstration
    one, query = np.divmod(np.arange(shape.requests), shape.queries)
    own = query if shape.demonstrations == "fixed" else np.arange(shape.requests)
    start = one if shape.demonstrations == "fixed" else own
    blocks = (
        np.zeros((shape.requests, shape.instruction)),
        np.repeat(start[:, None], shown, axis=1),
        np.repeat(own[:, None], shape.query, axis=1),
    )
    assert sets * shape.queries == shape.requests
    return list(np.concatenate(blocks, axis=1).astype(np.int32))


# the last level has tokens: requests without any of their own would be one and the same prompt
levels = st.tuples(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=3),
    st.tuples(st.integers(1, 5), st.integers(1, 4)),
).map(lambda both: [(1, 2), *both[0], both[1]])


@given(levels, st.integers(0, 6), st.integers(1, 9), st.sampled_from([0.0, 0.5, 1.0]))
def test_even_trees_are_those_of_their_sequences(some: Levels, cost: int, tasks: int, slack: float) -> None:
    sequences = as_arrays(written_out(some))
    tree = EvenTree(some, cost)
    real = sort_requests(sequences, [cost] * len(sequences))
    everywhere = np.arange(len(sequences))
    assert tree.count == real.count == len(sequences)
    assert tree.tokens == build_trie(sequences).rows
    assert tree.shared(everywhere).tolist() == real.shared(everywhere).tolist()
    assert tree.ahead(np.arange(tree.count + 1)).tolist() == real.ahead(np.arange(tree.count + 1)).tolist()
    borders = choose_borders(tree, tasks, slack)
    assert borders.tolist() == choose_borders(real, tasks, slack).tolist()
    assert report_on(tree, borders) == report_on(real, borders)


@pytest.mark.parametrize("requests", [10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("demonstrations", ["fixed", "query"])
def test_what_is_reckoned_for_many_is_what_a_cut_of_them_costs(requests: int, demonstrations: str) -> None:
    shape = GridShape(
        queries=requests // 50,
        cells=10,
        seeds=5,
        demonstrations=demonstrations,  # type: ignore[arg-type]
        shots=2,
        demonstration=4,
        instruction=2,
        query=1,
    )
    real = sort_requests(as_matrix(shape), np.full(requests, 3.0))
    for workers in (1, 8, 64, 512):
        borders, report = choose_for_workers(real, workers)
        expected = choose_for_workers(shape.tree(3.0), workers)
        assert borders.tolist() == expected[0].tolist()
        assert report == expected[1]


@pytest.mark.parametrize("demonstrations", ["fixed", "query"])
def test_uneven_lengths_change_little(demonstrations: str) -> None:
    """Lengths drawn from half to one and a half of their mean: tokens within a twentieth."""
    draw = np.random.default_rng(0)
    sets, queries, instruction, shown, own = 12, 400, 10, 100, 20

    def texts(count: int, mean: int) -> list[list[int]]:
        return [
            draw.integers(0, 50_000, n).tolist() for n in draw.integers(mean // 2, mean * 3 // 2 + 1, count)
        ]

    start = draw.integers(0, 50_000, instruction).tolist()
    heads = texts(sets if demonstrations == "fixed" else sets * queries, shown)
    per_head = queries if demonstrations == "fixed" else 1
    prompts = [[*start, *head, *tail] for head in heads for tail in texts(per_head, own)]
    shape = GridShape(
        queries=queries,
        cells=sets,
        demonstrations=demonstrations,  # type: ignore[arg-type]
        shots=1,
        instruction=instruction,
        demonstration=shown,
        query=own,
    )
    for workers in (1, 8, 64):
        _, real = choose_for_workers(sort_requests(as_arrays(prompts), np.zeros(len(prompts))), workers)
        _, reckoned = choose_for_workers(shape.tree(0), workers)
        assert reckoned.tokens_forwarded == pytest.approx(real.tokens_forwarded, rel=0.05)
        assert len(real.loads) == len(reckoned.loads)
        assert reckoned.repeated_share == pytest.approx(real.repeated_share, abs=0.02)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6), st.integers(1, 300))
def test_windows_hold_every_request_once(queries: int, cells: int, seeds: int, most: int) -> None:
    shape = GridShape(queries=queries, cells=cells, seeds=seeds)
    parts = shape.windows(most)
    assert sum(part.requests * times for part, times in parts) == shape.requests
    assert all(part.requests <= max(most, cells) for part, _ in parts)
    assert shape.windows(None) == [(shape, 1)]


def test_windows_go_seed_by_seed_and_query_by_query() -> None:
    shape = GridShape(queries=10, cells=3, seeds=5)
    assert [(p.seeds, p.queries, n) for p, n in shape.windows(70)] == [(2, 10, 2), (1, 10, 1)]
    assert [(p.seeds, p.queries, n) for p, n in shape.windows(14)] == [(1, 4, 10), (1, 2, 5)]
    assert [(p.seeds, p.queries, n) for p, n in shape.windows(2)] == [(1, 1, 50)]


def test_a_shape_in_numbers() -> None:
    """Two sets of demonstrations of 8 tokens below 5, three queries of 4 below each; labels of two tokens, of
    which the last is never forwarded."""
    shape = GridShape(
        queries=3,
        seeds=2,
        demonstrations="fixed",
        shots=2,
        labels=3,
        label=2,
        instruction=5,
        demonstration=4,
        query=4,
    )
    assert (shape.requests, shape.read_below, shape.own_tokens) == (6, 3, 18)
    assert shape.tree(0).tokens == 5 + 2 * 8 + 6 * 4
    chosen = GridShape(
        queries=3, seeds=2, shots=2, labels=0, samples=5, written=7, instruction=5, demonstration=4, query=4
    )
    assert (chosen.written_below, chosen.own_tokens) == (35, 210)
    assert chosen.tree(0).tokens == 5 + 6 * (8 + 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"queries": 0}, "queries is 0"),
        ({"queries": 1, "labels": -1}, "labels is -1"),
        ({"queries": 1, "shots": 2.5}, "shots is 2.5"),
        ({"queries": 1, "demonstrations": "some"}, "allowed: fixed, query"),
    ],
)
def test_shapes_that_are_none(given: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GridShape(**given)
