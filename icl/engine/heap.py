"""Keeping freed memory in the process, so that the next forward need not ask the system for it again.

A chunk's activations are tensors of some megabytes that live for microseconds. The C library hands such
blocks back to the system when they are freed, and each new one is filled page by page: on small models
in bf16 that cost more than the products themselves (see benchmarks/README.md).
"""

from __future__ import annotations

import ctypes
import functools

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2
"""Numbers of glibc's mallopt."""
LARGEST = 2**30
"""Blocks up to this size are taken from the heap, and as much may stay free at its end."""
STEP = 64 * 2**20
"""The heap grows by this much at once."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tells glibc's allocator to keep what is freed; False where there is no such allocator.

    A setting of the whole process. It changes when memory goes back to the system, never the most
    that is in use at once.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    wanted = ((_MMAP_THRESHOLD, LARGEST), (_TRIM_THRESHOLD, LARGEST), (_TOP_PAD, STEP))
    return all(mallopt(what, value) == 1 for what, value in wanted)
