"""A run that goes on with other arithmetic than it began with: said, kept, asked no second time."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

import icl
from icl.experiments.running.session import other_arithmetic

NATIVE, PYTHON = "fused trie engine, native kernels", "fused trie engine"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ([PYTHON], NATIVE, "without native kernels, this one asks it with them"),
        ([NATIVE], PYTHON, "with native kernels, this one asks it without them"),
        ([f"{NATIVE}, chunks of 64 rows for want of memory"], PYTHON, "with native kernels"),
        ([NATIVE], NATIVE, ""),
        ([PYTHON, NATIVE], NATIVE, ""),
        ([f"depth-first engine; {NATIVE}"], NATIVE, ""),
        (["depth-first engine"], NATIVE, ""),
        ([None], NATIVE, ""),
        ([], NATIVE, ""),
    ],
)
def test_what_is_said(before: list[str | None], now: str, words: str) -> None:
    manifest = {"sessions": [{"engine": engine} for engine in before]}
    said = other_arithmetic(SimpleNamespace(manifest=lambda: manifest), now)  # type: ignore[arg-type]
    assert words in said
    assert bool(words) == bool(said)


def test_a_run_that_goes_on_says_it_once_and_keeps_what_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = {
        "name": "mixed",
        "model": "fake",
        "task": "questions",
        "pool": 30,
        "test": 4,
        "grid": {"selector": ["random"], "shots": [2]},
    }
    icl.run(file, output=tmp_path)
    path = tmp_path / "mixed" / "manifest.json"
    manifest = json.loads(path.read_text())
    [session] = manifest["sessions"]
    session["engine"] = "FakeModel, native kernels"
    path.write_text(json.dumps(manifest))
    with caplog.at_level(logging.WARNING, logger="icl"):
        icl.run({**file, "grid": {"selector": ["random"], "shots": [2, 3]}}, output=tmp_path)
    said = [r.getMessage() for r in caplog.records if "earlier sessions of this run" in r.getMessage()]
    assert len(said) == 1
    assert "asked the FakeModel with native kernels, this one asks it without them" in said[0]
    first, second = json.loads(path.read_text())["sessions"]
    assert second["engine"] == "FakeModel"
    assert 0 < second["computed"]["requests"] < 2 * first["computed"]["requests"]
