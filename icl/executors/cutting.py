"""Requests into tasks at subtree borders of their trie, so that workers repeat few prefixes.

In the trie's order a task is a run of requests: it holds whole subtrees, and two tasks have in common only a
path from the root. What a border repeats is the prefix that the requests on its two sides share, so

    tokens forwarded = tokens once + the sum of what the borders share.

k tasks have k - 1 borders. Each has a window around its place in an even cut of the load, and stands in it
where it repeats least, nearest to that place. Windows do not meet, so no choice within them repeats less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icl.engine.trie.preorder import Int, as_arrays, build_trie
from icl.types import GenerateRequest, TokenIds

Loads = NDArray[np.float64]

SLACK = 0.5
"""Width of a border's window, as a share of the task beside it."""
ROUNDS = 4
"""Places of an even cut are worked out so often: what borders repeat is load, too, and moves them."""
TASKS_PER_WORKER = 8
"""Tasks handed out as workers come free even out what tokens do not say about time."""
MOST_REPEATED = 0.05
"""Share of the tokens: with more than that repeated, tasks are made larger, down to one a worker."""


@dataclass(frozen=True, slots=True)
class CutReport:
    """What a cut costs; tokens are those below the prompts, too."""

    tokens_once: int
    """With every shared prefix forwarded once, in one process."""
    tokens_forwarded: int
    """By all tasks together."""
    loads: tuple[float, ...]
    """Tokens of each task, in the order of the groups."""

    @property
    def tokens_repeated(self) -> int:
        """Forwarded again, by another task than the first."""
        return self.tokens_forwarded - self.tokens_once

    @property
    def repeated_share(self) -> float:
        """Of `tokens_once`; 0 where there are none."""
        return self.tokens_repeated / self.tokens_once if self.tokens_once else 0.0


class Cuttable(Protocol):
    """N requests in the order of their trie. Border s stands in front of sorted request s."""

    @property
    def count(self) -> int:
        """N."""
        ...

    def ahead(self, s: Int) -> Loads:
        """The load of all requests before s, each shared prefix once; ahead(N) is that of all."""
        ...

    def shared(self, s: Int) -> Int:
        """Tokens that requests s - 1 and s share."""
        ...

    def first_at(self, places: Loads, *, past: bool = False) -> Int:
        """For each place the first of the borders 1 .. N - 1 that has at least (past: more than) so much load
        ahead; N where none has."""
        ...

    def best(self, low: int, high: int, place: float) -> int:
        """Of the borders low .. high - 1 one that shares least; of these the nearest to the place."""
        ...


@dataclass(frozen=True, slots=True)
class SortedRequests:
    """`Cuttable` of given requests. order[s]: the index of sorted request s."""

    order: Int
    loads_ahead: Loads
    shared_lengths: Int

    @property
    def count(self) -> int:
        """N."""
        return len(self.order)

    def ahead(self, s: Int) -> Loads:
        """As of `Cuttable`."""
        return self.loads_ahead[s]

    def shared(self, s: Int) -> Int:
        """As of `Cuttable`."""
        return self.shared_lengths[s]

    def first_at(self, places: Loads, *, past: bool = False) -> Int:
        """As of `Cuttable`."""
        inner = self.loads_ahead[1 : self.count]
        return np.searchsorted(inner, places, side="right" if past else "left").astype(np.int64) + 1

    def best(self, low: int, high: int, place: float) -> int:
        """As of `Cuttable`."""
        repeats = self.shared_lengths[low:high]
        least = low + np.flatnonzero(repeats == repeats.min())
        return int(least[np.abs(self.loads_ahead[least] - place).argmin()])


def sort_requests(sequences: Sequence[NDArray[np.int32]], costs: Sequence[float] | Loads) -> SortedRequests:
    """sequences[i]: the prompt of request i; costs[i]: what it takes below its prompt, in tokens.

    Equal prompts go by cost, equal requests by index. ValueError for costs that are no loads.
    """
    below = np.asarray(costs, dtype=np.float64)
    if below.shape != (len(sequences),):
        raise ValueError(f"{len(sequences)} requests with costs of shape {below.shape}")
    if not (np.isfinite(below).all() and (below >= 0).all()):
        raise ValueError("a cost is negative or no number")
    trie = build_trie(sequences)
    # equal prompts stand side by side; a stable sort by cost within them
    same = (trie.shared == trie.lengths) & (trie.shared == np.roll(trie.lengths, 1))
    same[:1] = False
    order = trie.order[np.lexsort((below[trie.order], np.cumsum(~same)))]
    ahead = trie.starts + np.concatenate([[0.0], np.cumsum(below[order])])
    return SortedRequests(order, ahead, trie.shared)


def place_borders(requests: Cuttable, places: Loads, slack: float) -> Int:
    """The borders nearest to increasing places, moved to where they repeat least: within `slack` / 2 of the
    distance to the next place on either side. Where that window holds no border, the nearest one is taken.

    Distinct, increasing, none at 0.
    """
    count = requests.count
    if count < 2 or not len(places):
        return np.empty(0, dtype=np.int64)
    load = float(requests.ahead(np.array([count]))[0])
    gaps = np.diff(np.concatenate([[0.0], places, [load]]))
    half = np.maximum(np.minimum(gaps[:-1], gaps[1:]), 0.0) * slack / 2
    lows = requests.first_at(places - half)
    highs = requests.first_at(places + half, past=True)
    chosen = set()
    for place, low, high in zip(places.tolist(), lows.tolist(), highs.tolist(), strict=True):
        if low < high:
            chosen.add(requests.best(low, high, place))
            continue
        beside = np.array([s for s in (low - 1, low) if 1 <= s < count])
        chosen.add(int(beside[np.abs(requests.ahead(beside) - place).argmin()]))
    return np.array(sorted(chosen), dtype=np.int64)


def choose_borders(requests: Cuttable, tasks: int, slack: float = SLACK) -> Int:
    """Sorted indices at which a task begins, the first 0; at most `tasks`, fewer where requests are few.

    Of a few rounds the cut whose heaviest task is lightest. No task has more than
    (1 + slack) x load / tasks + 2 x the heaviest request + the deepest shared prefix.
    """
    if tasks < 1 or not 0 <= slack <= 1:
        raise ValueError(f"{tasks} tasks with slack {slack}; allowed: at least 1, and from 0 to 1")
    if not requests.count:
        return np.empty(0, dtype=np.int64)
    load = float(requests.ahead(np.array([requests.count]))[0])
    repeats = np.zeros(tasks - 1)
    best, lightest = np.zeros(1, dtype=np.int64), (load, 0)
    for round_ in range(ROUNDS):
        # place j has j even tasks before it, of which those after the first begin with what they repeat
        even = (load + repeats.sum()) / tasks * np.arange(1, tasks)
        places = np.maximum.accumulate(even - np.concatenate([[0.0], np.cumsum(repeats[:-1])])[: tasks - 1])
        inner = place_borders(requests, np.minimum(places, load), slack)
        borders = np.concatenate([[0], inner])
        report = report_on(requests, borders)
        weight = (max(report.loads), report.tokens_repeated)
        if round_ == 0 or weight < lightest:
            best, lightest = borders, weight
        if len(inner) < tasks - 1:
            break  # fewer borders than places: what they repeat cannot be told apart
        found = requests.shared(inner).astype(np.float64)
        if np.array_equal(found, repeats):
            break
        repeats = found
    return best


def report_on(requests: Cuttable, borders: Int) -> CutReport:
    """What a cut at these borders costs."""
    if not len(borders):
        return CutReport(0, 0, ())
    repeated = requests.shared(borders)
    ahead = requests.ahead(np.concatenate([borders, [requests.count]]))
    once = round(float(ahead[-1]))
    return CutReport(once, once + int(repeated.sum()), tuple((np.diff(ahead) + repeated).tolist()))


def groups_at(requests: SortedRequests, borders: Int) -> list[Int]:
    """Indices of the requests of each task, in the order of the trie."""
    return np.split(requests.order, borders[1:]) if len(borders) else []


def cut(
    sequences: Sequence[NDArray[np.int32]],
    costs: Sequence[float] | Loads,
    tasks: int,
    *,
    slack: float = SLACK,
) -> tuple[list[Int], CutReport]:
    """Groups of request indices, each request in one of them, and what they cost.

    Deterministic, and the same whatever the order of the requests. O(N log N). sequences, costs: as of
    `sort_requests`; slack: as of `choose_borders`. ValueError as of these.
    """
    requests = sort_requests(sequences, costs)
    borders = choose_borders(requests, tasks, slack)
    return groups_at(requests, borders), report_on(requests, borders)


def choose_for_workers(
    requests: Cuttable,
    workers: int,
    *,
    per_worker: int = TASKS_PER_WORKER,
    most_repeated: float = MOST_REPEATED,
) -> tuple[Int, CutReport]:
    """Borders as of `choose_borders`: `per_worker` tasks each, halved down to one while they repeat more than
    `most_repeated`. One worker gets one task."""
    tasks = per_worker if workers > 1 else 1
    while True:
        borders = choose_borders(requests, workers * tasks)
        report = report_on(requests, borders)
        if tasks == 1 or report.repeated_share <= most_repeated:
            return borders, report
        tasks //= 2


def cut_for_workers(
    sequences: Sequence[NDArray[np.int32]],
    costs: Sequence[float] | Loads,
    workers: int,
    *,
    per_worker: int = TASKS_PER_WORKER,
    most_repeated: float = MOST_REPEATED,
) -> tuple[list[Int], CutReport]:
    """As `cut`, heaviest task first, into as many as `choose_for_workers` finds."""
    requests = sort_requests(sequences, costs)
    borders, report = choose_for_workers(
        requests, workers, per_worker=per_worker, most_repeated=most_repeated
    )
    groups = groups_at(requests, borders)
    heaviest = sorted(range(len(groups)), key=lambda at: (-report.loads[at], at))
    loads = tuple(report.loads[at] for at in heaviest)
    return [groups[at] for at in heaviest], CutReport(report.tokens_once, report.tokens_forwarded, loads)


def writing_work(
    prompts: Sequence[TokenIds], requests: Sequence[GenerateRequest], expected: float = 1.0
) -> tuple[list[NDArray[np.int32]], Loads]:
    """Prompts and what is written below them. expected: the share of its limit that a text takes, times the
    tokens read in the time that one is written."""
    below = [r.n * r.max_tokens * expected for r in requests]
    return as_arrays(prompts), np.array(below, dtype=np.float64)
