"""Cuts of the trie, against sets of prefixes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from icl.engine.trie.preorder import as_arrays
from icl.executors.cutting import (
    SLACK,
    CutReport,
    cut,
    cut_for_workers,
    place_borders,
    sort_requests,
    writing_work,
)
from icl.types import GenerateRequest, TokenIds

Work = list[tuple[TokenIds, float]]
"""Prompts and what each takes below."""


@st.composite
def works(draw: st.DrawFn) -> Work:
    """Few tokens and few beginnings, so that prompts share, repeat and begin one another."""
    tokens = st.integers(0, 2)
    heads = draw(st.lists(st.lists(tokens, min_size=1, max_size=6), min_size=1, max_size=4))
    tails = st.lists(tokens, max_size=4)
    pairs = draw(st.lists(st.tuples(st.sampled_from(heads), tails), min_size=1, max_size=24))
    return [((*head, *tail), float(draw(st.integers(0, 5)))) for head, tail in pairs]


def prefixes(some: Work) -> set[TokenIds]:
    return {s[:n] for s, _ in some for n in range(1, len(s) + 1)}


def load(some: Work) -> float:
    return len(prefixes(some)) + sum(cost for _, cost in some)


def cut_work(work: Work, tasks: int) -> tuple[list[Work], list[list[int]], CutReport]:
    groups, report = cut(as_arrays(s for s, _ in work), [c for _, c in work], tasks)
    indices = [g.tolist() for g in groups]
    return [[work[i] for i in group] for group in indices], indices, report


@given(works(), st.integers(1, 9))
def test_every_request_is_in_one_task(work: Work, tasks: int) -> None:
    _, groups, _ = cut_work(work, tasks)
    assert sorted(i for group in groups for i in group) == list(range(len(work)))
    assert all(groups)
    assert len(groups) <= tasks


@given(works(), st.integers(1, 9))
def test_tokens_are_those_of_the_prefixes(work: Work, tasks: int) -> None:
    parts, _, report = cut_work(work, tasks)
    assert report.loads == tuple(load(part) for part in parts)
    assert report.tokens_once == load(work)
    assert report.tokens_forwarded == sum(load(part) for part in parts)
    assert report.tokens_repeated == sum(len(prefixes(part)) for part in parts) - len(prefixes(work))
    assert report.repeated_share == report.tokens_repeated / load(work)


@given(works(), st.integers(2, 9))
def test_two_tasks_share_only_a_path_from_the_root(work: Work, tasks: int) -> None:
    parts, _, _ = cut_work(work, tasks)
    for a, b in combinations(parts, 2):
        common = prefixes(a) & prefixes(b)
        assert sorted(map(len, common)) == list(range(1, len(common) + 1))
        longest = max(common, key=len, default=())
        assert common == {longest[:n] for n in range(1, len(longest) + 1)}


@given(works(), st.integers(1, 9))
def test_no_task_is_heavier_than_the_bound(work: Work, tasks: int) -> None:
    _, _, report = cut_work(work, tasks)
    heaviest = max(len(s) + cost for s, cost in work)
    deepest = max(len(s) for s, _ in work)
    assert max(report.loads) <= (1 + SLACK) * load(work) / tasks + 2 * heaviest + deepest


@given(works(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_order_of_the_requests_does_not_matter(work: Work, tasks: int, random: object) -> None:
    shuffled = list(work)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    parts, _, report = cut_work(work, tasks)
    again, _, same = cut_work(shuffled, tasks)
    assert [Counter(part) for part in parts] == [Counter(part) for part in again]
    assert report == same


@given(works(), st.integers(2, 4), st.sampled_from([0.25, 0.5, 1.0]))
def test_windows_allow_no_less_repetition(work: Work, tasks: int, slack: float) -> None:
    """All choices of one border a window, where every window has one."""
    requests = sort_requests(as_arrays(s for s, _ in work), [c for _, c in work])
    ahead = {s: load([work[i] for i in requests.order[:s]]) for s in range(1, len(work))}
    even = load(work) / tasks
    places = even * np.arange(1, tasks)
    far = [[abs(ahead[s] - place) - slack / 2 * even for s in ahead] for place in places]
    assume(all(abs(gap) > 1e-9 for gaps in far for gap in gaps))  # the edge itself is rounded
    windows = [[s for s, gap in zip(ahead, gaps, strict=True) if gap < 0] for gaps in far]
    assume(all(windows))
    repeated = [
        sum(len(prefixes([work[requests.order[s - 1]]]) & prefixes([work[requests.order[s]]])) for s in some)
        for some in product(*windows)
    ]
    found = place_borders(requests, places, slack)
    assert all(s in window for s, window in zip(found.tolist(), windows, strict=True))
    assert requests.shared(found).sum() == min(repeated)


def test_borders_move_to_where_subtrees_end() -> None:
    """Sets of demonstrations of 40 tokens, with 12 requests and with 8: an even cut stands after request 10,
    where it repeats 40."""
    first, second = tuple(range(100, 140)), tuple(range(200, 240))
    work: Work = [((*first, i), 4.0) for i in range(12)] + [((*second, i), 4.0) for i in range(8)]
    requests = sort_requests(as_arrays(s for s, _ in work), [c for _, c in work])
    even = np.array([90.0])
    assert place_borders(requests, even, 0.0).tolist() == [10]
    assert place_borders(requests, even, SLACK).tolist() == [12]
    _, _, report = cut_work(work, 2)
    assert (report.tokens_repeated, report.loads) == (0, (100.0, 80.0))


def test_a_cut_inside_a_subtree_repeats_its_path() -> None:
    shared = tuple(range(100, 150))
    work: Work = [((*shared, i), 9.0) for i in range(10)]
    _, groups, report = cut_work(work, 2)
    assert groups == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert (report.tokens_once, report.tokens_forwarded, report.loads) == (150, 200, (100.0, 100.0))


def test_a_task_that_takes_long_stands_alone() -> None:
    """Samples count: one request of 1,000 written tokens against twenty of ten."""
    work: Work = [((i,), 1000.0 if i == 7 else 10.0) for i in range(21)]
    parts, _, report = cut_work(work, 4)
    assert max(report.loads) == load(max(parts, key=load)) < 1000 + 3 * 11


def test_nothing_and_one() -> None:
    assert cut([], [], 4)[0] == []
    groups, report = cut(as_arrays([(1, 2)]), [0], 4)
    assert [g.tolist() for g in groups] == [[0]]
    assert (report.tokens_forwarded, report.repeated_share) == (2, 0.0)


def test_workers_get_fewer_tasks_where_much_would_be_repeated() -> None:
    apart: Work = [((i, i, i), 1.0) for i in range(64)]
    together: Work = [((*range(100, 160), i), 1.0) for i in range(64)]
    for work, tasks in ((apart, 16), (together, 2)):
        arrays, costs = as_arrays(s for s, _ in work), [c for _, c in work]
        groups, report = cut_for_workers(arrays, costs, 2)
        assert len(groups) == tasks
        assert report.loads == tuple(load([work[i] for i in group]) for group in groups)
        assert list(report.loads) == sorted(report.loads, reverse=True)
        assert len(cut_for_workers(arrays, costs, 1)[0]) == 1


@pytest.mark.parametrize("costs", [[1.0], [1.0, -1.0], [1.0, float("nan")]])
def test_costs_that_are_none(costs: list[float]) -> None:
    with pytest.raises(ValueError, match="cost"):
        cut(as_arrays([(1,), (2,)]), costs, 2)


@pytest.mark.parametrize(("tasks", "slack"), [(0, 0.5), (2, -0.1), (2, 1.5)])
def test_cuts_that_are_none(tasks: int, slack: float) -> None:
    with pytest.raises(ValueError, match="allowed"):
        cut(as_arrays([(1,), (2,)]), [0, 0], tasks, slack=slack)


def test_work_of_what_is_written() -> None:
    asked = [GenerateRequest((1, 2), n=3, max_tokens=10), GenerateRequest((7,), max_tokens=4)]
    prompts, written = writing_work([(1, 2), (7,)], asked, expected=0.5)
    assert [p.tolist() for p in prompts] == [[1, 2], [7]]
    assert written.tolist() == [15, 2]


def test_many_requests_are_cut_like_few() -> None:
    """100,000 prompts below 50 beginnings: what is repeated, from the beginnings alone."""
    rng = np.random.default_rng(0)
    heads = rng.integers(0, 1000, (50, 30)).astype(np.int32)
    tails = rng.integers(0, 1000, (100_000, 4)).astype(np.int32)
    sequences = list(np.concatenate([np.repeat(heads, 2000, axis=0), tails], axis=1))
    groups, report = cut(sequences, np.full(len(sequences), 3.0), 8)
    sizes = [len(g) for g in groups]
    assert sum(sizes) == len(sequences)
    # a window of half a task spans three beginnings, so that every border is between two of them
    assert all(size % 2000 == 0 for size in sizes)
    assert report.tokens_repeated <= 7
