"""docs/scale.md holds what benchmarks/scale.py prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()

spec = importlib.util.spec_from_file_location("scale_benchmark", ROOT / "benchmarks" / "scale.py")
assert spec is not None
assert spec.loader is not None
scale = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scale)


@pytest.mark.parametrize("title", scale.TABLES)
def test_the_tables_are_those_of_the_benchmark(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All shapes and numbers of requests, on up to 64 workers."""
    monkeypatch.setattr(scale, "WORKERS", (1, 8, 64))
    machines, window = scale.TABLES[title]
    at = PAGE.index(f"**{title}**")
    assert PAGE[at + 2] == scale.HEADER
    told = [line.rsplit("|", 2)[0] for line in PAGE[at + 4 : at + 13]]
    found = [
        scale.row(name, shape, requests, machines, window).removesuffix(" |")
        for name, shape in scale.SHAPES.items()
        for requests in scale.REQUESTS
    ]
    assert [line.strip() for line in told] == found
