"""Workers as actors of a Ray cluster: one on this machine that ends with the run, or one that is there."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from icl.components import check_number
from icl.errors import ConfigError, ModelError
from icl.executors.contract import Crew, Errand, Event, Job, Lost, Opening, Settings, executors
from icl.executors.processes import available_threads
from icl.executors.worker import Worker, forward_log

PACKAGE = "ray>=2.40"
LOCAL_WORKERS = 2
STORE_BYTES = 200 * 2**20
"""Object store of a cluster of our own: requests and answers pass through it, weights do not."""
AHEAD = 4
"""Parcels of answers that a worker may be ahead of the driver."""
PLACED_WITHIN = 60.0
"""Seconds without any worker after which the cluster is said to have no room."""
HEAD_SECONDS = 5.0
"""Between two looks whether the head node is there."""
HEAD_TRIES = 3
LEAVES_WITHIN = 5.0
"""Seconds that leaving a cluster without a head may take."""


@executors.register("ray")
class Ray:
    """Actors of a Ray cluster, each with an engine.

    workers: how many; default: with an address one a node, or as many as the graphics cards allow, else 2.
    address: of a cluster that is there ("auto", "host:port"); without one, a cluster on this machine that
    ends with the run. gpus_per_worker: graphics cards of each, or a share of one.
    """

    def __init__(
        self, *, workers: int | None = None, address: str | None = None, gpus_per_worker: float = 0
    ) -> None:
        if workers is not None:
            check_number("workers", workers, low=1, whole=True)
        if address is not None and (not isinstance(address, str) or not address.strip()):
            raise ValueError(f"address is {address!r}; allowed: auto, or host:port of a cluster's head node")
        if isinstance(address, str) and address.startswith("ray://"):
            raise ValueError(
                f"address is {address!r}, a Ray Client, through which answers cannot stream; start the run "
                "on a node of the cluster and give auto, or host:port"
            )
        check_number("gpus_per_worker", gpus_per_worker, low=0)
        self.workers = LOCAL_WORKERS if workers is None and address is None else workers
        self.address = address
        self.one_machine = address is None
        self.gpus_per_worker = gpus_per_worker

    def check(self) -> None:
        """See Executor."""
        if importlib.util.find_spec("ray") is None:
            raise ConfigError(f"needs a package that is not installed: pip install {PACKAGE!r}")

    def start(self) -> tuple[Crew, int, int]:
        """See Executor."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray: Any = importlib.import_module("ray")
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        try:
            workers = self.workers or most_workers(nodes, self.gpus_per_worker)
            threads = threads_of(nodes, workers, self.gpus_per_worker)
            if self.address is None and not self.gpus_per_worker:
                threads = min(threads, max(1, available_threads() // workers))
        except ModelError:
            if ours:
                ray.shutdown()
            raise
        crew = RayCrew(threads, self.gpus_per_worker, ours)
        for worker in range(1, workers + 1):
            crew.start(worker)
        return crew, workers, threads

    def _connect(self, ray: Any) -> None:
        """Raises ModelError where the cluster cannot be reached."""
        given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            cores = max(available_threads(), self.workers or 1)
            given |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE_BYTES}
            given |= {"address": "local"}
        else:
            given["address"] = self.address
            host, _, port = self.address.rpartition(":")
            if port.isdecimal() and not answers(host, int(port)):  # Ray would try for minutes
                raise ModelError(
                    f"a Ray cluster cannot be reached at {self.address!r}: nothing answers there"
                )
        try:
            with _found_by_workers():
                ray.init(**given)
        except Exception as error:  # Ray raises many kinds
            where = "started on this machine" if self.address is None else f"reached at {self.address!r}"
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            raise ModelError(f"a Ray cluster cannot be {where}: {first or type(error).__name__}") from error


@contextlib.contextmanager
def _found_by_workers() -> Iterator[None]:
    """Processes of a cluster that is started meanwhile find modules where this one does."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(folder for folder in sys.path if folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def most_workers(nodes: Sequence[Mapping[str, float]], gpus: float) -> int:
    """Workers of a cluster that does not say how many: one a node, or as many as its cards allow."""
    if not gpus:
        return max(len(nodes), 1)
    most = sum(int(node.get("GPU", 0) / gpus) for node in nodes)
    if not most:
        raise ModelError(f"no node of the Ray cluster has {gpus:g} graphics cards for a worker")
    return most


def threads_of(nodes: Sequence[Mapping[str, float]], workers: int, gpus: float) -> int:
    """The most processors that each of so many workers can have. ModelError where one is too many."""
    cores = [int(node.get("CPU", 0)) for node in nodes]
    for threads in range(max(cores, default=0), 0, -1):
        room = sum(
            min(own // threads, int(node.get("GPU", 0) / gpus)) if gpus else own // threads
            for own, node in zip(cores, nodes, strict=True)
        )
        if room >= workers:
            return threads
    cards = f" and {sum(node.get('GPU', 0) for node in nodes):g} graphics cards" if gpus else ""
    needs = f" and {gpus:g} graphics cards" if gpus else ""
    raise ModelError(
        f"the Ray cluster has {sum(cores)} processors{cards} on {len(nodes)} nodes: too few for {workers} "
        f"workers of one processor{needs} each"
    )


class Actor:
    """A worker as an actor. What it has to tell streams back; it waits where the driver is behind."""

    def __init__(self, number: int, settings: Settings, threads: int) -> None:
        self._out: queue.Queue[Event | None] = queue.Queue(AHEAD)
        self._worker = Worker(number, settings, self._out.put, threads=threads)
        forward_log(number, self._out.put)
        self._thread = ThreadPoolExecutor(1)  # torch keeps its number of threads by thread

    def open(self, opening: Opening) -> Iterator[Event | None]:
        """Begins with None: the worker has its place."""
        yield None
        yield from self._stream(self._worker.open, opening)

    def take(self, job: Job | Errand) -> Iterator[Event | None]:
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


class RayCrew:
    """See Crew."""

    def __init__(self, threads: int, gpus: float, ours: bool) -> None:
        """ours: the connection was made for the run, and ends with it."""
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
        self._head = _Head(ray.get_runtime_context().gcs_address)

    def start(self, worker: int) -> None:
        """See Crew."""
        self._drop(worker)
        self._actors[worker] = self._class.remote(worker, self._settings, self._threads)

    def open(self, worker: int, opening: Opening) -> None:
        """See Crew. The opener travels once a node, by the object store."""
        if self._opening[0] != opening.number:
            self._opening = (opening.number, self._ray.put(opening))
        self._stream(worker, self._actors[worker].open, self._opening[1])

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
            event: Event | None = self._ray.get(next(stream))
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
