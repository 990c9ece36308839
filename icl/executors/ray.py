"""Workers as actors of a Ray cluster: one on this machine that ends with the run, or one that is there."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from icl.components import check_number
from icl.errors import ConfigError, ModelError
from icl.executors.actors import RayCrew, answers
from icl.executors.contract import (
    LOST_AFTER,
    Crew,
    check_lost_after,
    executors,
)
from icl.executors.processes import available_threads, warn_of_crowd

PACKAGE = "ray>=2.40"
LOCAL_WORKERS = 2
STORE_BYTES = 200 * 2**20
"""Object store of a cluster of our own: requests and answers pass through it, weights do not."""


@executors.register("ray")
class Ray:
    """Actors of a Ray cluster, each with an engine.

    workers: how many; default: with an address one a node, or as many as the graphics cards allow, else 2.
    address: of a cluster that is there ("auto", "host:port"); without one, a cluster on this machine that
    ends with the run. gpus_per_worker: graphics cards of each, or a share of one. lost_after: as of
    `processes`.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        address: str | None = None,
        gpus_per_worker: float = 0,
        lost_after: float | None = LOST_AFTER,
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
        check_lost_after(lost_after)
        self.workers = LOCAL_WORKERS if workers is None and address is None else workers
        self.address = address
        self.one_machine = address is None
        self.gpus_per_worker = gpus_per_worker
        self.lost_after = lost_after

    def check(self) -> None:
        """See Executor."""
        if importlib.util.find_spec("ray") is None:
            raise ConfigError(f"'ray' needs a package that is not installed: pip install {PACKAGE!r}")

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
        crew = RayCrew(threads, self.gpus_per_worker, ours, carries=not self.one_machine)
        for worker in range(1, workers + 1):
            crew.start(worker)
        return crew, workers, threads

    def _connect(self, ray: Any) -> None:
        """Raises ModelError where the cluster cannot be reached."""
        given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            warn_of_crowd(self.workers or 1)
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
