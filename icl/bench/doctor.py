"""What this machine has and how fast it is, and what that means for models: `icl doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from packaging.requirements import Requirement

from icl.bench.run import processor
from icl.engine.forward.chunks import default_sizes
from icl.engine.measuring.footprint import PROCESS_BYTES
from icl.engine.measuring.roofline import Rates, Shape, measure_rates
from icl.engine.native import library
from icl.engine.trunks import packed

PARAMETERS = (135e6, 1.5e9, 8e9)
"""Models that rates are told for where none is asked about."""
LINEARS = ((2048, 2048, 2), (2048, 8192, 2))
"""(in, out, how many) of the products that are timed: as in a layer of a model with 1.5e9 parameters."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "sentence-transformers",
    "faiss-cpu",
    "datasets",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class Extra:
    """A group of optional packages."""

    name: str
    missing: tuple[str, ...]
    """Requirements that are not met: not installed, or too old."""

    @property
    def line(self) -> str:
        """What installs them."""
        return "pip install " + " ".join(f"'{requirement}'" for requirement in self.missing)


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured rates of one precision."""

    dtype: str
    operations: float
    """Multiplications and additions a second, by the faster of torch.mm and packed weights."""
    bandwidth: float
    """Bytes a second, read and written."""
    packed: bool
    """Whether packed weights were the faster."""
    native: bool
    """Whether products of this precision are made as they are; else packed weights are widened to fp32."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a model of so many parameters could do here at best."""

    parameters: float
    dtype: str
    weights: float
    """Bytes."""
    fits: bool
    """Into the memory of the device that is free now, with the process beside it on a CPU."""
    read: float
    """Tokens a second that are read, attention and head counted as nothing."""
    write: float
    """Tokens a second of one text; several side by side share each reading of the weights."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that `icl doctor` says."""

    versions: Mapping[str, str]
    extras: tuple[Extra, ...]
    device: str
    processor: str
    capability: str
    cores: int
    threads: int
    memory: int
    """Bytes of the machine."""
    free: int
    """Bytes that are free now on the device that models run on."""
    speeds: tuple[Speed, ...]
    bounds: tuple[Bound, ...]
    data: str
    """What ICL_DATA is."""
    native: str
    """Whether compiled kernels run: "yes (which instruction set)" or "no (why)"."""
    load: float
    """Processes that wanted to run in the last minute: rates of a busy machine are too low."""

    @property
    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        found["extras"] = [
            {**asdict(extra), "pip": extra.line if extra.missing else ""} for extra in self.extras
        ]
        return found


def diagnose(
    parameters: Sequence[float] = PARAMETERS, note: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Measures for some seconds. parameters: of the models to say what the rates mean for."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    speeds = []
    for name, dtype in DTYPES.items():
        note(f"measuring products and copies, {name}")
        speeds.append(_speed(name, dtype, device))
    free = torch.cuda.mem_get_info(device)[0] if gpu else int(psutil.virtual_memory().available)
    return Diagnosis(
        versions=_versions(),
        extras=extras(),
        device=torch.cuda.get_device_name(device) if gpu else "CPU",
        processor=processor(),
        capability=str(torch.backends.cpu.get_cpu_capability()),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory=int(psutil.virtual_memory().total),
        free=free,
        speeds=tuple(speeds),
        bounds=tuple(bound(n, speed, free, gpu=gpu) for n in parameters for speed in speeds),
        native=library.said(),
        data=_data(os.environ.get("ICL_DATA")),
        load=load,
    )


def _speed(name: str, dtype: torch.dtype, device: torch.device) -> Speed:
    shape = Shape(1, 16, 128, 2048, 32000, 0, (None,), LINEARS, dtype.itemsize, 0)
    rates: Rates = measure_rates(shape, dtype, device, default_sizes(device)[0])
    own = device.type == "cuda" or not packed.widened(dtype)
    return Speed(name, rates.best_gemm, rates.bandwidth, rates.packed_gemm > rates.gemm, own)


def bound(parameters: float, speed: Speed, free: int, *, gpu: bool) -> Bound:
    """By `icl.engine.measuring.roofline` with nothing but the weights: 2 N operations a token that is read, N
    weights read from memory a token that is written."""
    weights = parameters * DTYPES[speed.dtype].itemsize
    beside = 0 if gpu else PROCESS_BYTES
    read = speed.operations / (2 * parameters)
    return Bound(
        parameters=parameters,
        dtype=speed.dtype,
        weights=weights,
        fits=weights + beside < free,
        read=read,
        write=min(speed.bandwidth / weights, read),
    )


def extras(package: str = "icl") -> tuple[Extra, ...]:
    """The groups that the installed package names, with what they lack here; () where it is not installed."""
    try:
        about = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return ()
    wanted: dict[str, list[str]] = {name: [] for name in about.get_all("Provides-Extra") or ()}
    for text in about.get_all("Requires-Dist") or ():
        requirement = Requirement(text)
        for name, missing in wanted.items():
            marker = requirement.marker
            only_with = (
                marker is not None and marker.evaluate({"extra": name}) and not marker.evaluate({"extra": ""})
            )
            if only_with and not _met(requirement):
                requirement.marker = None
                missing.append(str(requirement))
    return tuple(Extra(name, tuple(missing)) for name, missing in wanted.items())


def _met(requirement: Requirement) -> bool:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("icl", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _data(value: str | None) -> str:
    if value is None:
        return "not set: data of the built-in tasks come from the hub"
    folder = Path(value)
    if not folder.is_dir():
        return f"{value}: no such folder"
    return f"{value}: {sum(path.is_dir() for path in folder.iterdir())} data sets"
