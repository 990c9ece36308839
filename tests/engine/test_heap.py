"""Freed memory stays in the process: the next tensor of that size touches no new page."""

from __future__ import annotations

import pytest
import torch

from icl.engine.heap import keep_freed_memory

resource = pytest.importorskip("resource")
PAGES_OF_A_TENSOR = 2048
"""Of 8 MiB."""


def faults() -> int:
    """Pages that this process has asked the system for so far."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)


def test_a_freed_tensor_is_used_again() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc")
    rounds = 50
    torch.ones(PAGES_OF_A_TENSOR * 1024)
    before = faults()
    for _ in range(rounds):
        torch.ones(PAGES_OF_A_TENSOR * 1024)
    assert faults() - before < rounds * PAGES_OF_A_TENSOR / 5
    assert keep_freed_memory()  # and once more changes nothing
