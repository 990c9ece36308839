"""Samples under way, and those that wait because memory ran out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from icl.engine.decoding.memory import Tails, Taken
from icl.engine.decoding.sampling import UniformStream
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.forward.chunks import out_of_memory
from icl.errors import ModelError
from icl.types import TokenIds

Result = TypeVar("Result")


@dataclass(slots=True)
class Slot:
    """One sample under way."""

    request: int
    sample: int
    sequence: int
    """Sorted index of its prompt."""
    position: int
    """Position of the next token to forward."""
    watcher: StopWatcher
    uniform: UniformStream
    context: TokenIds = ()
    """The prompt, kept only where n-gram bans need it."""


@dataclass(slots=True)
class Counters:
    """What a call forwarded."""

    prefilled: int = 0
    decoded: int = 0
    steps: int = 0
    peak_slots: int = 0


class Waiting:
    """Samples that were set aside with all they have computed, in DFS order of their prompts.

    They are always the last of those under way, so that the order of the slots holds when they come back,
    which they do before any new prompt is admitted.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Slot, Taken]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def sequences(self) -> set[int]:
        """Prompts that are still needed."""
        return {slot.sequence for slot, _ in self._waiting}

    def set_aside(self, slots: Sequence[Slot], tails: Tails, keep: int) -> list[Slot]:
        """All slots but the first `keep` wait; those that go on."""
        taken = [(slots[b], tails.taken(b)) for b in range(keep, len(slots))]
        self._waiting.extendleft(reversed(taken))
        tails.keep(range(keep))
        return list(slots[:keep])

    def resume(self, tails: Tails, count: int) -> list[Slot]:
        """The first `count` get their tails back. Where memory ends on the way, all wait on."""
        start = len(tails.lengths)
        back = [self._waiting[i] for i in range(count)]
        try:
            tails.add(count)
            tails.reserve(max(len(taken.positions) for _, taken in back) + 1)
            for at, (_, taken) in enumerate(back, start=start):
                tails.put(at, taken)
        except (RuntimeError, MemoryError):
            tails.keep(range(start))
            raise
        for _ in back:
            self._waiting.popleft()
        return [slot for slot, _ in back]


def clip(
    runs: Sequence[tuple[int, int, int, int]], low: int, high: int
) -> Iterator[tuple[int, int, int, int]]:
    """The parts of (slot, offset, row, rows) runs that lie in rows [low, high)."""
    for slot, at, row, count in runs:
        a, b = max(row, low), min(row + count, high)
        if a < b:
            yield slot, at + a - row, a, b - a


def in_pieces(
    run: Callable[[int, int], list[Result]],
    count: int,
    what: str,
    told: Callable[[int, BaseException], None] | None = None,
) -> list[Result]:
    """run(0, count), or where memory ends its halves, and theirs, one after another.

    told(how many, error): called for each piece that was too large. ModelError where one alone is.
    """

    def some(low: int, high: int) -> list[Result]:
        try:
            return run(low, high)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if high - low <= 1:
                raise ModelError(f"not enough memory for {what} of one text: {error}") from error
            if told is not None:
                told(high - low, error)
        middle = (low + high) // 2
        return [*some(low, middle), *some(middle, high)]

    return some(0, count)
