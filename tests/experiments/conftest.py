"""A small task of the user's and an experiment on it, as files; the fake model runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROWS = 40
QUERIES = 12
COLOURS = ("red", "green", "blue", "grey", "pink")


def write_task(folder: Path, **changes: Any) -> Path:
    """task.yaml with pool.jsonl and queries.jsonl."""
    task = {
        "name": "mine",
        "kind": "classification",
        "inputs": ["text"],
        "labels": ["good", "bad"],
        "template": {
            "query": "Text: {{ text }}\nLabel:",
            "channel_answer": "Label: {{ answer }}\nText:",
            "channel_query": " {{ text }}",
        },
        "source": {"files": {"train": "pool.jsonl", "test": "queries.jsonl"}},
    } | changes
    for name, count in (("pool", ROWS), ("queries", QUERIES)):
        rows = [
            {"text": f"{name} {COLOURS[i % 5]} thing number {i}", "label": ("good", "bad")[i * i % 3 > 0]}
            for i in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(task), encoding="utf-8")
    return path


def experiment(**changes: Any) -> dict[str, Any]:
    """The experiment as plain data."""
    plain: dict[str, Any] = {
        "name": "small",
        "model": "fake",
        "task": "task.yaml",
        "pool": 20,
        "test": 10,
        "seeds": [0, 1],
        "encoder": "hashed",
        "grid": {
            "selector": ["zero_shot", "random", {"knn": {}}],
            "shots": [2],
            "orderer": ["as_selected"],
            "method": ["direct"],
        },
        "leaderboard": {"compare_to": "random"},
    }
    grid = changes.pop("grid", {})
    plain |= changes
    plain["grid"] |= grid
    return {key: value for key, value in plain.items() if value is not None}


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICL_DATA", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(key=value, ...): the experiment with these changes as a file, its task beside it."""

    def make(task_template: dict[str, str] | None = None, **changes: Any) -> Path:
        if not (tmp_path / "task.yaml").exists():
            write_task(tmp_path, **({"template": task_template} if task_template else {}))
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump(experiment(**changes), sort_keys=False), encoding="utf-8")
        return path

    return make


@pytest.fixture
def predictions() -> Callable[[Path], dict[str, list[str]]]:
    """predictions(run folder): cell file -> its lines."""

    def read(folder: Path) -> dict[str, list[str]]:
        files = sorted((folder / "cells").glob("*.jsonl"))
        return {f.name: f.read_text(encoding="utf-8").splitlines() for f in files}

    return read


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with its tokenizer, as a folder: something that can be trained."""
    from tests.experiments.tiny_model import write_model

    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def norm() -> Iterator[None]:
    """A tuner of the tests' own, the quickest there is, known while a test runs."""
    from icl.protocols import tuners
    from tests.experiments.tiny_model import Norm

    tuners.register("norm")(Norm)
    yield
    del tuners._entries["norm"]
