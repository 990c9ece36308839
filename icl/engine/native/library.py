"""Loads the compiled kernels, once; says why there are none where there are none.

`ICL_NATIVE=0` leaves them out; a folder in its place is where they are looked for (`make sanitize`).
A library is taken only if it was built with the torch that runs and from the sources that are here.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from icl.engine.native.naming import AGAIN, locate

log = logging.getLogger("icl")


@dataclass(frozen=True, slots=True)
class Found:
    """What became of looking for the kernels."""

    instructions: str
    """The instruction set of those that run here; "" where there are none."""
    reason: str
    """Why there are none; "" where there are."""


_left_out = ContextVar("_left_out", default=False)


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """Within it the Python path runs, whether there are kernels or not: for comparisons in one process."""
    token = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(token)


def available() -> bool:
    """Are there kernels to run?"""
    return not _left_out.get() and not found().reason


def why_not() -> str:
    """Why there are no kernels; "" where there are."""
    return found().reason


def said() -> str:
    """One line about them: "yes (AVX2)" or "no (why)"."""
    here = found()
    return f"no ({here.reason})" if here.reason else f"yes ({here.instructions})"


def ops() -> Any:
    """The namespace of the kernels as torch ops; only where they are `available`."""
    return torch.ops.icl_native


@functools.cache
def found() -> Found:
    """Loads them at the first call, which is said in the log in one line."""
    here = look(os.environ.get("ICL_NATIVE", ""))
    if here.reason:
        log.info("native kernels: none, the Python path runs: %s", here.reason)
    else:
        log.info("native kernels: %s", here.instructions)
    return here


def look(setting: str) -> Found:
    """Loads the kernels as ICL_NATIVE says: "0" not at all, else from that folder or that of the package."""
    path, reason = locate(setting, torch.__version__)
    if reason:
        return Found("", reason)
    try:
        torch.ops.load_library(path)  # type: ignore[no-untyped-call]
        return Found(str(ops().instructions()), "")
    except Exception as error:  # a damaged file, another C++ runtime: whatever the loader raises
        cause = error.__cause__ or error
        first = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        return Found("", f"{path.name} cannot be loaded ({first}); {AGAIN}")
