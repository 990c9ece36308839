"""Makespans worked out by hand, and bounds that hold for every schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.executors.shapes import GridShape
from icl.executors.simulate import BOUNDS, Machines, schedule, simulate

FREE = Machines(read=1.0, write=1.0, weights=0.0, request=0.0, hand_out=0.0)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 8))
def test_a_schedule_is_within_the_bounds_of_every_list_schedule(loads: list[int], workers: int) -> None:
    """Graham 1969: at most the even share and one more task, less its own share."""
    loads.sort(reverse=True)
    ended = schedule([float(load) for load in loads], workers)
    assert ended >= max(max(loads), sum(loads) / workers)
    assert ended <= sum(loads) / workers + max(loads) * (1 - 1 / workers) + 1e-9


def test_a_schedule_by_hand() -> None:
    assert schedule([5.0, 4.0, 3.0], 2) == 7.0
    # handed out at 1, 2 and, to the worker that is free at 6, at 7
    assert schedule([5.0, 4.0, 3.0], 2, hand_out=1.0) == 10.0
    # the driver hands out at 1, 2, 3, 4: four workers are no faster than it
    assert schedule([1.0] * 4, 4, hand_out=1.0) == 5.0
    assert schedule([], 3) == 0.0


def test_one_worker_takes_every_token_once() -> None:
    shape = GridShape(
        queries=10, cells=2, demonstrations="fixed", shots=2, instruction=5, demonstration=10, query=3
    )
    found = simulate(shape, 1, FREE)
    assert found.tokens_once == found.tokens_forwarded == 5 + 2 * 20 + 20 * 3
    assert (found.tasks, found.windows, found.makespan) == (1, 1, 105.0)
    assert found.repeated_share == 0.0


def test_windows_repeat_what_they_share() -> None:
    """Ten windows of a query each in both cells: instruction and demonstrations are forwarded in each."""
    shape = GridShape(
        queries=10, cells=2, demonstrations="fixed", shots=2, instruction=5, demonstration=10, query=3
    )
    found = simulate(shape, 1, FREE, window=2)
    assert (found.windows, found.tokens_forwarded) == (10, 10 * (5 + 2 * 20 + 2 * 3))
    assert found.seconds["work"] == 105.0
    assert found.seconds["repeated"] == 510 - 105
    assert found.repeated_share == pytest.approx(510 / 105 - 1)


def test_each_part_of_the_makespan_by_hand() -> None:
    """Four prompts of 10 tokens, nothing shared, on two workers: two each."""
    shape = GridShape(queries=4, shots=0, instruction=0, query=10, labels=0, samples=2, written=5)
    machines = Machines(read=10.0, write=5.0, weights=7.0, request=0.25, hand_out=0.5)
    found = simulate(shape, 2, machines)
    assert (found.tokens_forwarded, found.tasks) == (40 + 4 * 10, 2)
    # a prompt: 1 s read, 2 s written; a task of two is handed out at 0.5, one at 1, which ends at 7
    assert found.seconds == {"work": 6.0, "repeated": 0.0, "longest task": 0.0, "driver": 2.0, "weights": 7.0}
    assert (found.makespan, found.bound) == (15.0, "weights")


def test_workers_wait_for_the_longest_task() -> None:
    shape = GridShape(queries=3, shots=0, instruction=0, query=10)
    found = simulate(shape, 2, FREE)
    assert (found.seconds["work"], found.seconds["longest task"], found.makespan) == (15.0, 5.0, 20.0)


@given(
    st.sampled_from(["fixed", "query"]),
    st.integers(1, 3000),
    st.integers(1, 5),
    st.integers(1, 100),
    st.none() | st.integers(1, 5000),
)
def test_parts_add_up_and_nothing_is_lost(
    demonstrations: str, queries: int, cells: int, workers: int, window: int | None
) -> None:
    shape = GridShape(queries=queries, cells=cells, demonstrations=demonstrations)  # type: ignore[arg-type]
    found = simulate(shape, workers, Machines(), window=window)
    assert set(found.seconds) == set(BOUNDS)
    assert min(found.seconds.values()) >= 0
    assert found.tokens_forwarded >= found.tokens_once
    computed = found.makespan - found.seconds["driver"] - found.seconds["weights"]
    assert computed >= found.tokens_forwarded / 400 / workers - 1e-6
    assert simulate(shape, 1, Machines()).makespan >= found.makespan or window is not None or workers == 1


def test_a_hundred_million_requests() -> None:
    shape = GridShape(queries=1_000_000, cells=20, seeds=5, demonstrations="fixed", shots=8)
    found = simulate(shape, 512, window=20_000)
    windows = 5 * 1000
    assert (found.requests, found.windows) == (10**8, windows)
    assert found.tokens_once == 20 + 100 * 400 + 10**8 * 30
    # at least what the windows repeat: demonstrations of 20 cells and the instruction
    assert found.tokens_forwarded >= windows * (20 + 20 * 400) + 10**8 * 30
    assert found.tasks <= windows * 512 * 8


@pytest.mark.parametrize(
    ("given", "said"),
    [({"read": 0.0}, "read is 0"), ({"weights": -1.0}, "weights is -1"), ({"write": "x"}, "write is 'x'")],
)
def test_rates_that_are_none(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Machines(**given)


@pytest.mark.parametrize(("workers", "window", "said"), [(0, None, "workers is 0"), (1, 0, "window is 0")])
def test_numbers_that_are_none(workers: int, window: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        simulate(GridShape(queries=1), workers, window=window)
