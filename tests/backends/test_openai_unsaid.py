"""Components that go by log-probabilities that a server does not say refuse; what shows them goes without."""

from __future__ import annotations

import json

import pytest

import icl
from icl.components import if_said, needed
from icl.errors import ModelError
from tests.backends.test_openai_runs import NUMBERS, write
from tests.experiments.conftest import write_task


def test_nan_is_none_or_an_error():
    assert (if_said(float("nan")), if_said(-1.5)) == (None, -1.5)
    assert needed(-1.5, "vote_k") == -1.5
    with pytest.raises(ModelError, match="vote_k goes by the log-probabilities of what the model writes"):
        needed(float("nan"), "vote_k")


def numbers(folder):
    write_task(folder, **NUMBERS)
    for name in ("pool", "queries"):
        rows = [{"text": f"{name} {i} + 1", "answer": str(i + 1)} for i in range(40)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_a_run_without_them_keeps_no_nan(started, tmp_path):
    numbers(tmp_path)
    server = started(top=0)
    grid = {"selector": ["zero_shot"], "shots": [0], "method": ["generate", {"zero_shot": {"max_tokens": 8}}]}
    run = icl.run(write(tmp_path, server, grid=grid, leaderboard=None), output=tmp_path / "runs")
    kept = [p.details for r in run.results for p in r.predictions]
    assert [d["logprob"] for d in kept if "logprob" in d] == [None] * 10
    assert not [f for f in (tmp_path / "runs").rglob("*.json*") if "NaN" in f.read_text(encoding="utf-8")]


def test_what_decides_by_them_is_refused(started, tmp_path):
    numbers(tmp_path)
    grid = {"selector": [{"vote_k": {"variant": "full", "budget": 15, "initial": 5}}], "method": ["generate"]}
    with pytest.raises(ModelError, match="vote_k goes by the log-probabilities"):
        icl.run(write(tmp_path, started(top=0), grid=grid, leaderboard=None), output=tmp_path / "runs")
