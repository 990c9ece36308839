"""What a run tells whoever watches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from icl.types import NO_USAGE, Usage

LEAST_REACHED = 0.02
"""Share of what a session has to do that must be done before the time left is guessed."""


class Display(Protocol):
    """Where somebody watches a run."""

    def start(self, meter: Meter) -> None:
        """The run begins."""
        ...

    def note(self, text: str) -> None:
        """A step worth a line."""
        ...

    def changed(self, meter: Meter) -> None:
        """A count has changed: called very often."""
        ...

    def stop(self, meter: Meter) -> None:
        """The run is over, or has been broken off."""
        ...


@dataclass
class Meter:
    """Counts of a run so far, told to a display if there is one.

    `total`, `done`: predictions of the run and those that are final, with `found` of them from
    an earlier session. `computed`: what the engine did; `reused`: what the cache answered.
    """

    display: Display | None = None
    watchers: list[Display] = field(default_factory=list)
    """Who else is told."""
    total: int = 0
    done: int = 0
    found: int = 0
    computed: Usage = NO_USAGE
    reused: Usage = NO_USAGE
    near_ties: int = 0
    noun: str = "predictions"
    """What `total` and `done` count."""
    asking: int = 0
    expected: int = 0
    answered: int = 0
    """The call under way: conversations that wait for it, requests the engine computes for it, and
    those that are answered."""
    began: float = field(default_factory=time.monotonic)
    forwarded: int = 0
    """Tokens that the engine has forwarded, those of requests that are not answered yet too."""
    working: float | None = None
    """When the engine was first asked for anything, on the clock of `began`."""
    asked: float | None = None
    """When the first call began, on the clock of `began`: what came before was choosing demonstrations."""
    training: str = ""
    """How far training is, while something is trained."""
    training_seconds: float = 0.0
    """Spent on training since the first call."""
    counting: bool = False
    """Whether units of a study are counted, one by one, and nothing else."""

    def start(self, total: int, found: int) -> None:
        """The run begins with `found` of `total` predictions already there."""
        self.total, self.done, self.found = total, found, found
        self.began = time.monotonic()
        self._tell(lambda display: display.start(self))

    def note(self, text: str) -> None:
        """A step worth a line."""
        self._tell(lambda display: display.note(text))

    def response(self, usage: Usage, cached: bool) -> None:
        """A response came from the cache or from the engine."""
        if cached:
            self.reused += usage
        else:
            self.computed += usage
            self.answered += 1
        self._changed()

    def asks(self, conversations: int) -> None:
        """That many conversations ask the model in one call."""
        self.asking, self.expected, self.answered = conversations, 0, 0
        self.asked = time.monotonic() if self.asked is None else self.asked

    def expects(self, requests: int) -> None:
        """That many requests of the call are not in the cache."""
        self.expected += requests
        self.working = self.working or time.monotonic()

    def forwards(self, tokens: int) -> None:
        """The engine has forwarded so many tokens more."""
        self.forwarded += tokens
        self._changed()

    def trains(self, text: str) -> None:
        """Training has come so far."""
        self.training = text
        self._changed()

    def trained(self, seconds: float) -> None:
        """Training is over, or has been broken off, after so long."""
        self.training = ""
        self.training_seconds += seconds if self.asked is not None else 0.0

    def count(self, noun: str, total: int) -> None:
        """From now on units of another step are counted."""
        fresh = not self.counting
        self.noun, self.total, self.done, self.found = noun, total, 0, 0
        self.counting, self.asked = True, None
        self.began = time.monotonic()
        self._tell(lambda display: display.start(self) if fresh else display.changed(self))

    def counted(self, done: int) -> None:
        """So many units of the step are done. What the first call tells of may be from an earlier session."""
        if self.asked is None:
            late = max(1, LEAST_REACHED * self.total) < done < self.total
            self.found = done if late else 0
            self.asked = time.monotonic() if late else self.began
        self.done = min(done, self.total)
        self._changed()

    @property
    def rate(self) -> float | None:
        """Units of the step a second; None before the first."""
        made = self.done - self.found
        return made / max(time.monotonic() - self.asked, 1e-9) if self.asked and made > 0 else None

    def taken_back(self, predictions: int) -> None:
        """So many that were there are computed again."""
        self.done -= predictions
        self.found -= predictions

    def predicted(self, flags: tuple[str, ...]) -> None:
        """One more prediction is final."""
        self.done += 1
        self.settled()
        self.near_ties += "near_tie" in flags
        self._changed()

    def settled(self) -> None:
        """One conversation of the call under way waits no more."""
        self.asking = max(self.asking - 1, 0)

    def _changed(self) -> None:
        self._tell(lambda display: display.changed(self))

    def stop(self) -> None:
        """The run is over, or has been broken off."""
        self._tell(lambda display: display.stop(self))

    def _tell(self, act: Callable[[Display], None]) -> None:
        """A run does not end because nobody can be told: where the output is closed or full, the display
        is given up."""
        if self.display is not None and not _told(self.display, act):
            self.display = None
        self.watchers = [watcher for watcher in self.watchers if _told(watcher, act)]

    @property
    def reached(self) -> float:
        """Predictions, with a share of those that wait for the call under way. An estimate."""
        share = min(self.answered / self.expected, 1.0) if self.expected else 0.0
        return min(self.done + share * self.asking, float(self.total))

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def tokens_per_second(self) -> float:
        """Unique tokens that the engine forwarded a second, since it was first asked."""
        return self.tokens / max(time.monotonic() - (self.working or self.began), 1e-9)

    @property
    def tokens(self) -> int:
        """Unique tokens that the engine forwarded: those it told of, else those of finished requests."""
        return max(self.forwarded, self.computed.tokens_unique)

    @property
    def sharing(self) -> float | None:
        """Tokens flat per token forwarded; None before the first."""
        return (
            self.computed.tokens_flat / self.computed.tokens_unique if self.computed.tokens_unique else None
        )

    @property
    def seconds_left(self) -> float | None:
        """By the rate of predictions since the first call of this session; None before much is known."""
        made = self.reached - self.found
        if self.asked is None or made <= 0 or made < LEAST_REACHED * (self.total - self.found):
            return None
        asking = time.monotonic() - self.asked - self.training_seconds
        return (self.total - self.reached) * asking / made


def _told(display: Display, act: Callable[[Display], None]) -> bool:
    """Whether it could be told."""
    try:
        act(display)
    except (OSError, ValueError):  # ValueError: a file that was closed in this process
        return False
    return True
