"""Requests for pools, and a path on which workers find the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from icl.types import GenerateRequest, ScoreRequest


@pytest.fixture(autouse=True)
def path_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.fixture
def scoring() -> Callable[[int], list[ScoreRequest]]:
    """scoring(n): n requests in groups that share a beginning."""

    def make(n: int) -> list[ScoreRequest]:
        return [
            ScoreRequest(f"shared by group {i % 5} " + "x" * 2000 + f" query {i}", (" yes", " no"))
            for i in range(n)
        ]

    return make


@pytest.fixture
def writing() -> Callable[[int], list[GenerateRequest]]:
    """writing(n): n requests for several samples each."""

    def make(n: int) -> list[GenerateRequest]:
        return [GenerateRequest(f"prompt {i}", n=3, temperature=1.0, seed=i % 2) for i in range(n)]

    return make
