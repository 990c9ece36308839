"""Which layout of weights makes products in fp32 fastest here: oneDNN's, or the panels of icl's own kernels.

Measured once with the few rows of a decode step and the many of a chunk, and kept in the user's cache
for these kernels, this torch and these instructions: the two round differently, so that a run that is
gone on with, or another worker, must not choose anew.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from icl.atomic import write_atomically
from icl.cache import cache_folder
from icl.engine.native import library
from icl.engine.native.naming import library_name

log = logging.getLogger("icl")

Product = Callable[[Tensor], Tensor]

BOOK = "layouts.json"
ROWS = (32, 256)
"""Rows of a decode step and of a chunk."""
SIZE = 768
"""Rows and columns of the weights that are tried."""
TRIES = 12
NEARLY = 0.9
"""How many times as fast as oneDNN's panels must be at least: they need no kernel compiled for each new
number of rows, which the measurement leaves out, and a busy machine should not turn a gain into a loss."""


def in_panels(make: Callable[[Tensor, bool], Product]) -> bool:
    """Do icl's own kernels make the products in fp32? Not where there are none, or oneDNN is clearly faster.

    make(weight, panels): the product of rows with a weight [out, in] in either layout.
    """
    return library.available() and _gain(make) > NEARLY


@functools.cache
def _gain(make: Callable[[Tensor, bool], Product]) -> float:
    """How many times as fast as oneDNN's the products with panels are; 0 where the two do not agree."""
    path = cache_folder() / BOOK
    key = f"{library_name(torch.__version__)} {torch.backends.cpu.get_cpu_capability()}"
    known = _kept(path).get(key)
    if known is None:
        known = _measured(make)
        book = {key: known, **_kept(path)}  # another process may have been the first
        known = book[key]
        try:
            write_atomically(path, json.dumps(book, indent=1) + "\n")
        except OSError as error:
            log.info("the layout of weights is chosen anew the next time: %s", error)
    log.info("products in fp32: icl's own kernels are %.2f times as fast as oneDNN's", known)
    return known


def _kept(path: Path) -> dict[str, float]:
    """What was measured before; nothing where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): float(gain) for key, gain in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _measured(make: Callable[[Tensor, bool], Product]) -> float:
    """In some hundredths of a second: the geometric mean over ROWS."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        weight = torch.randn(SIZE, SIZE)
        ours, theirs = make(weight, True), make(weight, False)
        gain = 1.0
        for rows in ROWS:
            x = torch.randn(rows, SIZE)
            if not torch.allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-3):
                log.warning(
                    "icl's own products are wrong on this processor; oneDNN's are used: please report it"
                )
                return 0.0
            own, other = _seconds((ours, theirs), x)
            gain *= (other / own) ** (1 / len(ROWS))
    return gain


def _seconds(several: Sequence[Product], x: Tensor) -> list[float]:
    """The shortest of a few tries of each; they take turns, so that a busy machine slows all down."""
    best = [float("inf")] * len(several)
    for _ in range(TRIES):
        for at, product in enumerate(several):
            began = time.perf_counter()
            product(x)
            best[at] = min(best[at], time.perf_counter() - began)
    return best
