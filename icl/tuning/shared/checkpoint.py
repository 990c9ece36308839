"""A killed run goes on where it was: weights, optimiser and what was seen, without pickle."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

EVERY = 20.0
"""Seconds between two writings, so that they cost little."""
FORMAT = 1


class Checkpoint:
    """One file, put in place whole: what is read is what was written together.

    path: None keeps nothing. of: what the run is of (settings, data, network); others are passed over.
    """

    def __init__(self, path: Path | None, of: str) -> None:
        self.path = path
        self.of = of
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return self.path is not None and time.monotonic() - self._last > EVERY

    def write(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Keeps tensors and plain data."""
        if self.path is None:
            return
        said = {"of": self.of, "format": FORMAT, "plain": dict(plain)}
        data = save({k: v.contiguous() for k, v in tensors.items()}, {"icl": json.dumps(said)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
        self._last = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was kept of this very run; None where nothing is, or it cannot be read."""
        if self.path is None or not self.path.is_file():
            return None
        data = self.path.read_bytes()
        try:
            tensors = load(data)
            length = int.from_bytes(data[:8], "little")
            said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["icl"])
        except (SafetensorError, ValueError, KeyError, TypeError):
            return None
        if said.get("of") != self.of or said.get("format") != FORMAT:
            return None
        return tensors, said["plain"]

    def clear(self) -> None:
        """The run is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def parted(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with the prefix, without it."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
