"""Versions of icl and of what its results depend on, without importing any of it."""

from __future__ import annotations

import importlib.metadata
import platform

PACKAGES = (
    "torch", "transformers", "tokenizers", "sentence-transformers", "faiss-cpu", "bm25s", "numpy", "scipy",
    "scikit-learn", "datasets",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {"python": platform.python_version()}
    for package in ("icl", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
