"""icl status of the folder of a study: what is done, what runs, what goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icl.experiments.folder.lock import FolderLock
from icl.experiments.study.calls import study
from tests.experiments.study.conftest import Coins, planted

__all__ = ["planted"]
Icl = Callable[..., Any]
FILE = {"name": "mine", "study": {"coins": {"throws": 60}}}


@pytest.fixture
def root(planted: type[Coins], tmp_path: Path) -> Path:
    return tmp_path / "studies"


def steps(icl: Icl, folder: Path) -> list[str]:
    said = icl("status", str(folder))
    assert said.code == 0, said.err
    return [line.strip() for line in said.out.splitlines()]


def test_of_a_study_that_is_done(icl: Icl, root: Path) -> None:
    study(FILE, output=root)
    assert steps(icl, root / "mine") == [
        "mine: complete",
        "study        coins",
        "steps        3 of 3 done",
        "biased: 60 throws, done in 0 s",
        "fair: 60 throws, done in 0 s",
        "difference: 1 differences, done in 0 s",
    ]
    plain = json.loads(icl("status", str(root / "mine"), "--json").out)
    assert (plain["state"], plain["steps_done"], len(plain["steps"])) == ("complete", 3, 3)


def test_of_one_that_was_broken_off(icl: Icl, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coins, "breaks_at", 20)
    with pytest.raises(KeyboardInterrupt):
        study(FILE, output=root)
    assert steps(icl, root / "mine") == [
        "mine: stopped",
        "study        coins",
        "steps        0 of 3 done",
        "last end     Ctrl-C",
        "biased: 60 throws, begun",
        "fair: 60 throws, not begun",
        "difference: 1 differences, not begun",
        "The same icl study goes on.",
    ]


def test_another_parameter_undoes_what_depends_on_it(
    icl: Icl, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(FILE, output=root)
    monkeypatch.setattr(Coins, "breaks_at", 20)
    with pytest.raises(KeyboardInterrupt):
        study({"name": "mine", "study": {"coins": {"throws": 60, "bias": 0.7}}}, output=root)
    said = steps(icl, root / "mine")
    assert said[2] == "steps        1 of 3 done"
    assert [line.rpartition(", ")[2] for line in said[4:7]] == ["begun", "done in 0 s", "not begun"]


def test_of_one_that_runs(icl: Icl, root: Path) -> None:
    study(FILE, output=root)
    (root / "mine" / "steps" / "fair.json").unlink()
    lock = FolderLock()
    lock.take(root / "mine")
    try:
        assert steps(icl, root / "mine")[0].startswith("mine: running, process ")
    finally:
        lock.release()
    assert steps(icl, root / "mine")[0] == "mine: stopped"


def test_a_damaged_step_is_named(icl: Icl, root: Path) -> None:
    study(FILE, output=root)
    (root / "mine" / "steps" / "fair.json").write_text("{}")
    said = icl("status", str(root / "mine"))
    assert said.code == 2
    assert "fair.json: is damaged" in said.err
