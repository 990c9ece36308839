"""What a benchmark is asked: engines, precision, how much of a workload, how many rounds."""

from __future__ import annotations

from dataclasses import dataclass

from icl.bench.workloads import Workload
from icl.errors import ConfigError, unknown_name

OWN, PYTHON = "icl", "icl-python"
ENGINES = (OWN, PYTHON, "naive", "padded", "shared", "continuous")
"""icl-python: icl's engine without its native kernels."""
DEFAULT = tuple(name for name in ENGINES if name != PYTHON)
DTYPES = ("float32", "bfloat16")
SIZES = (8, 16, 32)
"""Batch sizes that padded and shared are tried with; they decode with the largest only."""
ROUNDS = 3
"""Where both paths of icl take turns and nothing else is said."""


@dataclass(frozen=True, slots=True)
class Slow:
    """How much of a workload a slow engine runs: a share, but never less than it needs to be itself."""

    fraction: float
    least: int = 1


SLOW = {
    "naive": Slow(0.03, 2),
    "padded": Slow(0.06, max(SIZES)),
    "shared": Slow(0.15, max(SIZES)),
    "continuous": Slow(0.06, 8),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What `icl bench` is asked."""

    model: str = "smollm2-135m-instruct"
    dtype: str = "float32"
    engines: tuple[str, ...] = DEFAULT
    fraction: float | None = None
    """Of each workload that slow peers run; None: their own (SLOW)."""
    max_memory: int | None = None
    rounds: int | None = None
    """In which the engines take turns, each in a process of its own; None: ROUNDS where icl runs with and
    without its kernels, else once, one engine after another in this process."""

    def __post_init__(self) -> None:
        for engine in self.engines:
            if engine not in ENGINES:
                raise ConfigError(unknown_name("engine", engine, ENGINES))
        if self.dtype not in DTYPES:
            raise ConfigError(unknown_name("dtype", self.dtype, DTYPES))
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigError(f"--fraction: {self.fraction} is not in (0, 1]")
        if self.rounds is not None and self.rounds < 1:
            raise ConfigError(f"--rounds: {self.rounds} is not 1 or more")

    @property
    def turns(self) -> int:
        """Rounds in which engines take turns; 0: they do not."""
        if self.rounds is not None:
            return self.rounds
        return ROUNDS if PYTHON in self.engines else 0

    def part(self, engine: str, workload: Workload) -> Workload:
        """What `engine` runs of `workload`."""
        slow = SLOW.get(engine)
        if slow is None:
            return workload
        if self.fraction is None:
            return workload.subset(slow.fraction, slow.least)
        return workload.subset(self.fraction)
