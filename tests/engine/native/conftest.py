"""Tests of the compiled kernels; those that call them skip, with the reason, where there are none."""

from __future__ import annotations

import pytest

from icl.engine.native import library


@pytest.fixture
def kernels() -> None:
    """There are kernels to call."""
    if not library.available():
        pytest.skip(f"no native kernels: {library.why_not()}")
