"""What a grid would cost on many workers: cut as it would be run, then scheduled by given rates. No model."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf

from icl.executors.cutting import CutReport, choose_for_workers, report_on
from icl.executors.shapes import GridShape
from icl.executors.sharing import tasks_per_worker


@dataclass(frozen=True, slots=True)
class Machines:
    """How fast everything is."""

    read: float = 400.0
    """Tokens a second that a worker forwards."""
    write: float = 60.0
    """Tokens a second that a worker writes, over all texts side by side."""
    weights: float = 10.0
    """Seconds until a worker has its model; all load side by side."""
    request: float = 0.0005
    """Seconds of the driver for a request: rendered, tokenised, cut, its result taken and written. It works
    while no worker does, since results decide what is asked next."""
    hand_out: float = 0.001
    """Seconds of the driver for a task."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, rate = getattr(self, one.name), one.name in ("read", "write")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (0 < value < inf if rate else 0 <= value < inf):
                kind = "tokens a second, more than 0" if rate else "seconds, at least 0"
                raise ValueError(f"{one.name} is {value!r}; allowed: {kind}")


BOUNDS = {
    "work": "the tokens, each shared prefix once, evenly on all workers",
    "repeated": "prefixes that several tasks or windows forward",
    "longest task": "workers that wait for the last of a window",
    "driver": "the one process that asks and writes",
    "weights": "loading the model",
}
"""What the makespan is the sum of."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A grid on some workers."""

    requests: int
    workers: int
    windows: int
    tasks: int
    tokens_once: int
    """Everything asked at once of one worker: each shared prefix once."""
    tokens_forwarded: int
    seconds: dict[str, float]
    """What the makespan is the sum of, by the names of `BOUNDS`."""

    @property
    def makespan(self) -> float:
        """Seconds from start to end."""
        return sum(self.seconds.values())

    @property
    def repeated_share(self) -> float:
        """Forwarded again, by another task or in another window, as a share of `tokens_once`."""
        return self.tokens_forwarded / self.tokens_once - 1

    @property
    def bound(self) -> str:
        """The largest part of the makespan."""
        return max(self.seconds, key=self.seconds.__getitem__)


def simulate(
    shape: GridShape, workers: int, machines: Machines | None = None, *, window: int | None = None
) -> Simulation:
    """Cuts every window of the grid as it would be cut and lets workers take the tasks, heaviest first.

    window: requests asked at once, None: all. Windows of one shape are cut once, so that time and memory grow
    with the tasks of a window only. ValueError for less than one worker or request.
    """
    for name, least in (("workers", workers), ("window", window)):
        if least is not None and least < 1:
            raise ValueError(f"{name} is {least}; allowed: a whole number, at least 1")
    machines = machines or Machines()
    below = shape.read_below + shape.written_below * machines.read / machines.write
    windows = tasks = forwarded = 0
    computing = ending = handing = 0.0
    for part, times in shape.windows(window):
        report, loads = _cut(part, workers, below)
        seconds = sorted((load / machines.read for load in loads), reverse=True)
        windows += times
        tasks += times * len(loads)
        forwarded += times * report.tokens_forwarded
        even = sum(seconds) / workers
        computing += times * even
        spent = schedule(seconds, workers, machines.hand_out) - even
        handed = min(len(loads) * machines.hand_out, spent)
        handing += times * handed
        ending += times * (spent - handed)
    whole = shape.tree(below)
    work = (whole.tokens + below * shape.requests) / machines.read / workers
    parts = {
        "work": work,
        "repeated": max(computing - work, 0.0),
        "longest task": ending,
        "driver": shape.requests * machines.request + handing,
        "weights": machines.weights,
    }
    once = whole.tokens + shape.own_tokens
    return Simulation(shape.requests, workers, windows, tasks, once, forwarded, parts)


def _cut(part: GridShape, workers: int, below: float) -> tuple[CutReport, tuple[float, ...]]:
    """A window as a run cuts it, where a token written weighs as one that is read, and the loads of its tasks
    with `below` under each prompt."""
    each = part.read_below + part.written_below
    tree = part.tree(each)
    read = part.requests * (part.prompt + part.read_below)
    per_worker = tasks_per_worker(read, part.requests * part.samples, workers)
    borders, report = choose_for_workers(tree, workers, per_worker=per_worker)
    return report, report_on(part.tree(below), borders).loads


def schedule(loads: Sequence[float], workers: int, hand_out: float = 0.0) -> float:
    """When the last task ends, in seconds: each goes to the worker that is free first, one hand-out after
    another."""
    free = [0.0] * workers
    driver = end = 0.0
    for load in loads:
        driver = max(driver, heapq.heappop(free)) + hand_out
        heapq.heappush(free, driver + load)
        end = max(end, driver + load)
    return end
