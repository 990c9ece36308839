"""What several engine tests share. Plain helpers are in tiny.py."""

from __future__ import annotations

import pytest
from transformers.utils import logging as hf_logging

from icl.engine.loading.sources import ALIASES, package_file

EMBEDDED = "smollm2-135m-instruct"


@pytest.fixture(autouse=True)
def _quiet_transformers() -> None:
    """Tiny configurations draw warnings about special tokens outside the vocabulary."""
    hf_logging.set_verbosity_error()


@pytest.fixture(scope="session")
def embedded() -> str:
    """Alias of the embedded model; skips where the package that carries it is not installed."""
    alias = ALIASES[EMBEDDED]
    if package_file(alias) is None:
        pytest.skip(f"the package {alias.package} with the embedded model is not installed")
    return EMBEDDED
