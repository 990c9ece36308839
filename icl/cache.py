"""Where icl keeps what it may make again: converted models, digests, measured rates."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The user's cache for icl; the environment variable ICL_CACHE moves it."""
    override = os.environ.get("ICL_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("icl", appauthor=False)
