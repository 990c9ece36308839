"""Time and memory of what runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import psutil
import torch
from torch import Tensor

from icl.engine.trunks.contract import Trunk

SAMPLE_SECONDS = 0.02


class Stopwatch:
    """`with Stopwatch(device) as watch: ...`, then watch.seconds and watch.peak_memory (bytes).

    Memory on CPU is the resident memory of the process, looked at fifty times a second: what an
    engine that ran before has not given back counts too.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self.peak_memory = 0
        self._done = threading.Event()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(SAMPLE_SECONDS):
            self.peak_memory = max(self.peak_memory, int(process.memory_info().rss))

    def __enter__(self) -> Self:
        self.peak_memory = int(psutil.Process().memory_info().rss)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds = time.perf_counter() - self._started
        if self.device.type == "cuda":
            self.peak_memory = int(torch.cuda.max_memory_allocated(self.device))
        else:
            self._done.set()
            self._thread.join()


class NetworkClock:
    """`with NetworkClock(trunk) as clock: ...`, then clock.seconds: those spent in the network; the rest of a
    run is the engine's own. The trunk stays the object that it is, so that steps are run as ever."""

    def __init__(self, trunk: Trunk) -> None:
        self.seconds = 0.0
        self._trunk = trunk
        self._timed = [name for name in ("forward", "logits", "step") if hasattr(trunk, name)]

    def __enter__(self) -> Self:
        for name in self._timed:
            setattr(self._trunk, name, self._clocked(getattr(self._trunk, name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._timed:
            delattr(self._trunk, name)

    def _clocked(self, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def clocked(*args: Any, **kwargs: Any) -> Tensor:
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started

        return clocked
