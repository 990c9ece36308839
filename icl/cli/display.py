"""Live progress: a bar on a terminal, lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from icl.experiments.progress import Meter

LINE_SECONDS = 15.0
DRAW_SECONDS = 0.1
WAIT_SECONDS = 2.0
"""What takes longer says what it is doing."""


def duration(seconds: float | None) -> str:
    """ "1:05:09", "5:09"; "?" for None."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def rates(meter: Meter) -> str:
    """Requests and tokens a second, the sharing ratio, and the time left."""
    parts = []
    if meter.computed.requests:
        parts.append(f"{meter.requests_per_second:.1f} requests/s")
        parts.append(f"{meter.tokens_per_second:,.0f} tokens/s")
    if meter.sharing is not None:
        parts.append(f"sharing {meter.sharing:.1f}x")
    if meter.reused.requests:
        parts.append(f"{meter.reused.requests} from cache")
    parts.append(f"{duration(meter.seconds_left)} left")
    return " · ".join(parts)


class BarMeter(Meter):
    """A bar that is redrawn ten times a second, with notes above it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._progress = Progress(
            TextColumn("{task.fields[done]}/{task.total}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[rates]}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, done=0, rates="")
        self._drawn = 0.0

    def start(self, total: int, found: int) -> None:
        """See Meter."""
        self._progress.start()
        super().start(total, found)
        if found:
            self.note(f"going on: {found} of {total} predictions are there already")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(Text(text, style="dim"))

    def changed(self) -> None:
        """Redraws, at most every DRAW_SECONDS."""
        now = time.monotonic()
        if now - self._drawn < DRAW_SECONDS and self.done < self.total:
            return
        self._drawn = now
        self._progress.update(
            self._task, completed=self.reached, total=self.total, done=self.done, rates=rates(self)
        )

    def stop(self) -> None:
        """Takes the bar away."""
        self._progress.stop()


class LineMeter(Meter):
    """A line every fifteen seconds, and one a note."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write
        self._said = time.monotonic()

    def start(self, total: int, found: int) -> None:
        """See Meter."""
        super().start(total, found)
        self._write(f"{total} predictions" + (f", {found} of them there already" if found else ""))

    def note(self, text: str) -> None:
        """A line."""
        self._write(text)

    def changed(self) -> None:
        """A line now and then."""
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            self._write(f"{self.done}/{self.total} predictions · {rates(self)}")


@contextmanager
def waiting(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Says what is going on once it has taken WAIT_SECONDS: `note(text)` names the next step.

    On a terminal a line that goes away in the end; in a log a line a step.
    """
    status = console.status(Text(text))
    told = [text, ""]
    lock, over = threading.Lock(), threading.Event()

    def show() -> None:
        with lock:
            if over.is_set():
                return
            if console.is_terminal:
                status.update(Text(told[0]))
                status.start()
            elif told[0] != told[1]:
                console.print(Text(told[0]), soft_wrap=True)
                told[1] = told[0]

    timer = threading.Timer(WAIT_SECONDS, show)
    timer.daemon = True
    began = time.monotonic()

    def note(step: str) -> None:
        told[0] = step
        if time.monotonic() - began >= WAIT_SECONDS:
            show()

    timer.start()
    try:
        yield note
    finally:
        timer.cancel()
        with lock:
            over.set()
            status.stop()


def meter_for(console: Console, quiet: bool) -> Meter:
    """The display that fits where the output goes."""
    if quiet:
        return Meter()
    if console.is_terminal:
        return BarMeter(console)
    return LineMeter(lambda text: console.print(Text(text), soft_wrap=True))
