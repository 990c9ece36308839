"""The watch over a reader: every way in which a reading can end is told apart."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from icl.errors import DataError

from .core import Case, Worker

HERE = "tests.fuzz.test_fuzz_core:behave"


class Raw(DataError):
    """An error that does not make its text one line, as all others do."""

    def __str__(self) -> str:
        return str(self.args[0])


def behave(folder: Path) -> None:
    """Does what its file says."""
    match (folder / "how").read_text():
        case "refuse":
            raise DataError("one line")
        case "two lines":
            raise Raw("one line\nand another")
        case "steer":
            raise Raw("red \x1b[31m")
        case "fail":
            raise KeyError("oh")
        case "leave":
            raise SystemExit(0)
        case "sleep":
            time.sleep(60)
        case "die":
            os.abort()
        case "talk":
            print("on stdout")


def test_each_end_is_told_apart_and_the_worker_goes_on() -> None:
    wanted = {
        "refuse": "refused", "two lines": "lines", "steer": "lines", "fail": "traceback", "sleep": "hang",
        "talk": "read", "die": "died", "leave": "traceback", "nothing": "read",
    }  # fmt: skip
    with Worker(HERE, seconds=2.0, patience=1.0) as worker:
        got = {how: worker.judge(Case(how, {"how": how.encode()})) for how in wanted}
    assert {how: verdict.kind for how, verdict in got.items()} == wanted
    assert "KeyError: 'oh'" in got["fail"].message
    assert 1.9 < got["sleep"].seconds < 10


def test_a_worker_without_a_reader_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with Worker("tests.fuzz.no_such:read") as worker, pytest.raises(RuntimeError, match="does not start"):
        worker.judge(Case("any", {}))
