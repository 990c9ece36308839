"""Live progress: a bar on a terminal, lines in a log."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from icl.experiments.running.progress import Meter
from icl.printable import visible

LINE_SECONDS = 15.0
FIRST_SECONDS = 1.0
"""When a log hears for the first time that something is done."""
LOOK_SECONDS = 1.0
"""How often it is looked whether a log has heard nothing for LINE_SECONDS."""
DRAW_SECONDS = 0.1
LOG_SECONDS = 10.0
"""Between two steps that a log hears of."""
WAIT_SECONDS = 2.0
"""What takes longer says what it is doing."""


class Output(Console):
    """A console that leaves a closed pipe to its caller: rich itself would end the run there."""

    def on_broken_pipe(self) -> None:
        """Called by rich where a BrokenPipeError is being handled."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def duration(seconds: float | None) -> str:
    """ "1:05:09", "5:09"; "?" for None."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def rates(meter: Meter) -> str:
    """Requests of the call under way, tokens, the sharing ratio, and the time left.

    A prediction is final when the call that it waits for is over, which may take minutes: requests and
    tokens count from the first on. While something is trained, how far that is.
    """
    if meter.training:
        return meter.training
    parts = []
    if meter.counting and meter.rate is not None:
        parts.append(f"{meter.rate:,.3g} {meter.noun}/s")
    if meter.expected:
        parts.append(f"{meter.answered:,}/{meter.expected:,} requests")
    if meter.tokens:
        parts.append(f"{meter.tokens:,} tokens, {meter.tokens_per_second:,.0f}/s")
    if meter.sharing is not None:
        parts.append(f"sharing {meter.sharing:.1f}x")
    if meter.reused.requests:
        parts.append(f"{meter.reused.requests} from cache")
    parts.append(f"{duration(meter.seconds_left)} left")
    return " · ".join(parts)


class BarDisplay:
    """A bar that is redrawn ten times a second, with notes above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[done]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rates]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, done="", rates="")
        self._drawn = 0.0

    def start(self, meter: Meter) -> None:
        """See Display."""
        self._progress.start()
        self.changed(meter)
        if meter.found:
            self.note(f"going on: {meter.found} of {meter.total} {meter.noun} are there already")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(Text(visible(text), style="dim"))

    def changed(self, meter: Meter) -> None:
        """Redraws, at most every DRAW_SECONDS."""
        now = time.monotonic()
        if now - self._drawn < DRAW_SECONDS and meter.done < meter.total:
            return
        self._drawn = now
        done = f"{meter.done}/{meter.total} {meter.noun}" if meter.total else ""
        self._progress.update(
            self._task, completed=meter.reached, total=meter.total, done=done, rates=rates(meter)
        )

    def stop(self, meter: Meter) -> None:
        """Takes the bar away."""
        self._progress.stop()


class LineDisplay:
    """A line every fifteen seconds, also while nothing changes, one a note, and one where the run ends."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._to = write
        self._next = time.monotonic() + FIRST_SECONDS
        self._heard = time.monotonic()
        self._step, self._since = "", time.monotonic()
        self._over = threading.Event()

    def _write(self, text: str) -> None:
        self._heard = time.monotonic()
        self._to(text)

    def start(self, meter: Meter) -> None:
        """See Display."""
        already = f", {meter.found} of them there already" if meter.found else ""
        if meter.total:
            self._write(f"{meter.total} {meter.noun}{already}")
        threading.Thread(target=self._watch, args=(meter,), daemon=True).start()

    def _watch(self, meter: Meter) -> None:
        """Says that the run goes on while a model is loaded, a server looked at, an answer waited for."""
        while not self._over.wait(LOOK_SECONDS):
            if time.monotonic() - self._heard < LINE_SECONDS:
                continue
            try:
                if meter.asked is None and self._step:
                    self._write(f"{self._step}: {duration(time.monotonic() - self._since)} so far")
                else:
                    self._write(self._line(meter))
            except OSError:  # the run itself finds out that nobody reads
                return

    def _line(self, meter: Meter) -> str:
        done = "" if meter.training else f"{meter.done}/{meter.total} {meter.noun} · "
        return f"{done}{rates(meter)}"

    def note(self, text: str) -> None:
        """A line."""
        self._step, self._since = text, time.monotonic()
        self._write(text)

    def changed(self, meter: Meter) -> None:
        """A line now and then."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._write(self._line(meter))

    def stop(self, meter: Meter) -> None:
        """How far it came."""
        self._over.set()
        if meter.total and not meter.counting:
            self._write(f"{meter.done}/{meter.total} {meter.noun} in {duration(meter.elapsed)}")


@contextmanager
def waiting(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Says what is going on once it has taken WAIT_SECONDS: `note(text)` names the next step.

    On a terminal a line that goes away in the end; in a log a line a step.
    """
    status = console.status(Text(visible(text)))
    told = [text, ""]
    lock, over = threading.Lock(), threading.Event()

    def show() -> None:
        with lock:
            if over.is_set():
                return
            if console.is_terminal:
                status.update(Text(visible(told[0])))
                status.start()
            elif told[0] != told[1]:
                console.print(Text(visible(told[0])), soft_wrap=True)
                told[1] = told[0]

    timer = threading.Timer(WAIT_SECONDS, show)
    timer.daemon = True
    began = time.monotonic()

    def note(step: str) -> None:
        late = time.monotonic() - began >= WAIT_SECONDS
        if late and not told[1]:
            show()  # the timer is late: what took so long was the step before
        told[0] = step
        if late:
            show()

    timer.start()
    try:
        yield note
    finally:
        timer.cancel()
        with lock:
            over.set()
            status.stop()


def now_and_then(note: Callable[[str], None], console: Console) -> Callable[[str], None]:
    """In a log a step every LOG_SECONDS; a terminal, which shows one line, hears of every step."""
    if console.is_terminal:
        return note
    told = [time.monotonic()]

    def maybe(step: str) -> None:
        if time.monotonic() - told[0] >= LOG_SECONDS:
            told[0] = time.monotonic()
            note(step)

    return maybe


def meter_for(console: Console, quiet: bool) -> Meter:
    """With the display that fits where the output goes."""
    if quiet:
        return Meter()
    if console.is_terminal:
        return Meter(BarDisplay(console))
    return Meter(LineDisplay(lambda text: console.print(Text(visible(text)), soft_wrap=True)))
