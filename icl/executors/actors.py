"""Workers as actors of a Ray cluster."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import queue
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from icl.errors import ModelError
from icl.executors.carrying import Bringing, Source, files_of
from icl.executors.contract import Errand, Event, Job, Lost, Opener, Opening, Settings
from icl.executors.worker import Worker, forward_log

AHEAD = 4
"""Parcels of answers that a worker may be ahead of the driver."""
PLACED_WITHIN = 60.0
"""Seconds without any worker after which the cluster is said to have no room."""
HEAD_SECONDS = 5.0
"""Between two looks whether the head node is there."""
HEAD_TRIES = 3
LEAVES_WITHIN = 5.0
"""Seconds that leaving a cluster without a head may take."""


class Actor:
    """A worker as an actor. What it has to tell streams back; it waits where the driver is behind."""

    def __init__(self, number: int, settings: Settings, threads: int) -> None:
        self._out: queue.Queue[Event | None] = queue.Queue(AHEAD)
        self._worker = Worker(number, settings, self._out.put, threads=threads)
        forward_log(number, self._out.put)
        self._thread = ThreadPoolExecutor(1)  # torch keeps its number of threads by thread

    def open(self, opening: Opening) -> Iterator[Event]:
        """See Crew."""
        yield from self._stream(self._worker.open, opening)

    def take(self, job: Job | Errand) -> Iterator[Event]:
        """See Crew."""
        yield from self._stream(self._worker.take, job)

    def _stream(self, act: Any, given: Any) -> Iterator[Event]:
        def work() -> None:
            try:
                act(given)
            finally:
                self._out.put(None)

        done = self._thread.submit(work)
        while (event := self._out.get()) is not None:
            yield event
        done.result()


class ReadThrough:
    """`Source.read` of an actor, from any node."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __call__(self, *given: Any) -> bytes:
        ray: Any = importlib.import_module("ray")
        return bytes(ray.get(self._source.read.remote(*given)))


class RayCrew:
    """See Crew."""

    def __init__(self, threads: int, gpus: float, ours: bool, *, carries: bool) -> None:
        """ours: the connection was made for the run, and ends with it. carries: model files of this machine
        may be missing on others."""
        ray: Any = importlib.import_module("ray")
        self._ray = ray
        self._ours = ours
        self._threads = threads
        self._class = ray.remote(
            num_cpus=threads, num_gpus=gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )(Actor)
        self._settings = Settings.here()
        self._actors: dict[int, Any] = {}
        self._streams: dict[Any, int] = {}
        """Answers under way, and whose they are."""
        self._placed: set[int] = set()
        self._heard = time.monotonic()
        self._opening: tuple[int, Any] = (0, None)
        self._carries = carries
        self._source: Any = None
        """The actor that reads model files of this machine."""
        self._head = _Head(ray.get_runtime_context().gcs_address)

    def start(self, worker: int) -> None:
        """See Crew."""
        self._drop(worker)
        self._actors[worker] = self._class.remote(worker, self._settings, self._threads)

    def open(self, worker: int, opening: Opening) -> None:
        """See Crew. The opener travels once a node, by the object store."""
        if opening.opener is None:
            self._stream(worker, self._actors[worker].open, opening)
            return
        if self._opening[0] != opening.number:
            self._opening = (opening.number, self._ray.put(self._with_files(opening, opening.opener)))
        self._stream(worker, self._actors[worker].open, self._opening[1])

    def _with_files(self, opening: Opening, opener: Opener) -> Opening:
        files = files_of(opener) if self._carries else ()
        if not files:
            return opening
        self._end_source()
        here = self._ray.get_runtime_context().get_node_id()
        strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        placed = strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._source = self._ray.remote(Source).options(num_cpus=0, scheduling_strategy=placed).remote(files)
        return Opening(opening.number, Bringing(opener, files, ReadThrough(self._source)))

    def _end_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            with contextlib.suppress(Exception):
                self._ray.kill(source)

    def give(self, worker: int, job: Job | Errand) -> None:
        """See Crew."""
        self._stream(worker, self._actors[worker].take, job)

    def _stream(self, worker: int, method: Any, given: Any) -> None:
        streaming = method.options(num_returns="streaming", _generator_backpressure_num_objects=AHEAD)
        self._streams[streaming.remote(given)] = worker

    def events(self, timeout: float) -> Sequence[Event]:
        """See Crew."""
        self._head.look()
        if not self._streams:
            time.sleep(min(timeout, 0.1))
            return []
        ready, _ = self._ray.wait(list(self._streams), num_returns=1, timeout=timeout)
        found = [event for stream in ready if (event := self._next(stream)) is not None]
        if found or self._placed:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > PLACED_WITHIN:
            raise ModelError(
                f"the Ray cluster has had no room for a worker for {PLACED_WITHIN:.0f} s: each needs "
                f"{self._threads} processors, and free are {self._ray.available_resources().get('CPU', 0):g}"
            )
        return found

    def _next(self, stream: Any) -> Event | None:
        worker = self._streams[stream]
        try:
            event: Event = self._ray.get(next(stream))
        except StopIteration:
            del self._streams[stream]
            return None
        except Exception as error:  # the actor's end comes as one of many kinds
            self._drop(worker)
            return Lost(worker, _how(error))
        self._placed.add(worker)
        return event

    def _drop(self, worker: int) -> None:
        self._placed.discard(worker)
        self._streams = {stream: of for stream, of in self._streams.items() if of != worker}
        if (actor := self._actors.pop(worker, None)) is not None:
            with contextlib.suppress(Exception):
                self._ray.kill(actor)

    def close(self) -> None:
        """See Crew."""
        if self._head.gone:  # Ray would wait for it
            self._actors.clear()
            self._streams.clear()
        for worker in list(self._actors):
            self._drop(worker)
        if not self._head.gone:
            self._end_source()
        if self._ours:
            self._leave()

    def _leave(self) -> None:
        """Ends the connection. Where the head node is gone that may never return: then it is let be, also
        when Python ends."""
        leaving = threading.Thread(target=self._ray.shutdown, daemon=True)
        leaving.start()
        leaving.join(LEAVES_WITHIN if self._head.gone else None)
        if leaving.is_alive():
            atexit.unregister(self._ray.shutdown)


def _how(error: Exception) -> str:
    """How an actor ended, in words."""
    text = " ".join(str(error).split())
    if "No module named 'icl" in text:
        return "could not start: icl is not installed on its node"
    reason = text.partition("died because")[2] or text.partition("message:")[2] or text
    return f"ended ({type(error).__name__}: {reason.strip()[:300]})"


def answers(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), timeout=HEAD_SECONDS).close()
    except (OSError, OverflowError):
        return False
    return True


class _Head:
    """Looks whether the head node answers: Ray itself waits for it a minute and then ends the process."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._next = 0.0
        self._missed = 0

    @property
    def gone(self) -> bool:
        """Whether it is taken to be."""
        return self._missed >= HEAD_TRIES

    def look(self) -> None:
        """Now and then. Raises ModelError where it has not answered several times."""
        if time.monotonic() < self._next:
            return
        host, _, port = self._address.rpartition(":")
        self._missed = 0 if answers(host, int(port)) else self._missed + 1
        self._next = time.monotonic() + (1.0 if self._missed else HEAD_SECONDS)
        if self.gone:
            raise ModelError(
                f"the head node of the Ray cluster ({self._address}) does not answer any more. What was "
                "answered is kept; the same command goes on where there is a cluster again"
            )
