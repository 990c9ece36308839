"""Judges that ask a server: by its log-probabilities, refused where it has none before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError
from tests.backends.server import NAME, Server


def never(prompt: str, sample: int) -> str:
    raise AssertionError("the model was asked")


def run(server: Server, folder: Path, model: FakeModel, **judge: Any) -> icl.api.Run:
    options = {"model": NAME, "base_url": server.url, "tokenizer": "fake", "retries": 2}
    plain = {
        "name": "judged",
        "model": "fake",
        "task": "questions",
        "pool": 4,
        "test": 3,
        "grid": {"selector": ["zero_shot"], "shots": [0], "method": ["generate"]},
        "metric": {"judge": {"simpleqa": {"model": {"openai": options}, **judge}}},
    }
    return icl.run(plain, output=folder, model=model)


@pytest.mark.parametrize("choice", ["", "structured_outputs"])
def test_without_log_probabilities_it_is_refused_before_anything_is_asked(
    choice: str, started: Callable[..., Server], tmp_path: Path
) -> None:
    server = started(top=0, choice=choice)
    with pytest.raises(ConfigError) as caught:
        run(server, tmp_path, FakeModel(reply_with=never))
    said = str(caught.value)
    assert said.startswith("experiment: metric.judge.simpleqa: judge 'simpleqa' goes by log-probabilities")
    only = f", only which label it chooses ({choice})" if choice else ""
    assert f" of its labels: {server.url} gives none{only}. A model of icl's own engine" in said
    assert said.endswith("a server with logprobs works; or read: text, which goes by what is written")
    assert "\n" not in said


def test_written_grades_need_none(started: Callable[..., Server], tmp_path: Path) -> None:
    said = run(started(top=0, choice=""), tmp_path, FakeModel(), read="text", as_published=True)
    (row,) = (row for row in said.leaderboard().rows if row.selector == "zero_shot")
    assert row.verdicts is not None
    assert sum(row.verdicts.counts.values()) == 3


def test_a_server_with_log_probabilities_judges(started: Callable[..., Server], tmp_path: Path) -> None:
    said = run(started(context=1 << 15), tmp_path, FakeModel())
    found = [p.details["judge"] for r in said.results for p in r.predictions]
    assert all(sum(v["probabilities"].values()) == pytest.approx(1) for v in found)
    assert {v["label"] for v in found} <= {"correct", "incorrect", "not_attempted"}
