"""A run made again elsewhere: equal where nothing changed, and every difference found and named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.errors import ConfigError, DataError
from icl.experiments.asking.conversations import Window
from icl.experiments.differences import differences, probabilities
from icl.experiments.folder.cellfile import CellWriter
from icl.experiments.folder.store import RunFolder


@pytest.fixture
def run(write: Any, tmp_path: Path) -> icl.Run:
    return icl.run(write(), output=tmp_path / "runs")


def changed(run: icl.Run, tmp_path: Path, change: Any) -> RunFolder:
    """A copy of the run whose cells are `change(cell, predictions)`."""
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    for result in run.results:
        lines = change(result.cell, result.predictions)
        if lines is not None:
            CellWriter(copy / "cells", result.cell, 10).finish(replace(result, predictions=tuple(lines)))
    return RunFolder.open(copy)


def test_again_it_is_equal_and_asks_as_much(run, tmp_path):
    made = icl.reproduce(run, output=tmp_path / "again")
    assert made.found.equal
    assert made.found.compared == 80
    assert made.found.conditions == ()
    assert made.folder.path == tmp_path / "again" / "small"
    asked = [f.manifest()["sessions"][0]["computed"]["requests"] for f in (run.folder, made.folder)]
    assert asked[0] == asked[1] > 0
    assert made.folder.manifest()["reproduces"]["run"] == "small"
    assert icl.reproduce(run, output=tmp_path / "again").found.equal  # which only compares


def test_a_copied_folder_is_enough_beside_the_data(run, tmp_path):
    elsewhere = tmp_path / "other" / "machine"
    shutil.copytree(run.path, elsewhere / "small")
    manifest = json.loads((elsewhere / "small" / "manifest.json").read_text())
    manifest["folder"] = "/nowhere/at/all"
    (elsewhere / "small" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=r"task file task\.yaml does not exist"):
        icl.reproduce(elsewhere / "small", output=tmp_path / "a")
    assert icl.reproduce(elsewhere / "small", output=tmp_path / "b", tasks=tmp_path).found.equal
    with pytest.raises(ConfigError, match=r"--tasks: .* is no folder"):
        icl.reproduce(elsewhere / "small", output=tmp_path / "c", tasks=tmp_path / "none")


def test_another_model_is_found_out(write, tmp_path):
    run = icl.run(write(), output=tmp_path / "runs", model=FakeModel(lambda p, c: -float("bad" in c)))
    with pytest.raises(ConfigError, match=r"was loaded by a program and given to the run"):
        icl.reproduce(run, output=tmp_path / "a")
    other = FakeModel(lambda p, c: -float("good" in c))
    found = icl.reproduce(run, output=tmp_path / "b", model=other).found
    assert not found.equal
    assert found.counts == {"missing": 0, "demonstrations": 0, "answer": 60, "probabilities": 0}
    (condition,) = found.conditions
    assert condition.name == "model fake, fingerprint"
    assert condition.before != condition.after == other.fingerprint


def test_other_data_are_found_out(run, tmp_path):
    rows = (tmp_path / "pool.jsonl").read_text().replace("thing", "object")
    (tmp_path / "pool.jsonl").write_text(rows)
    found = icl.reproduce(run, output=tmp_path / "again").found
    assert [c.name for c in found.conditions] == ["data of mine, fingerprint"]


def test_every_kind_of_difference(run, tmp_path):
    def change(cell, lines):
        if (cell.selector, cell.seed) == ("knn", 0):
            first, second, third, fourth, *rest = lines
            other = "bad" if first.answer == "good" else "good"
            return [
                replace(first, answer=other, correct=not first.correct),
                replace(second, demonstrations=second.demonstrations[::-1]),
                replace(
                    third, label_scores={k: v + 0.1 * (k == "good") for k, v in third.label_scores.items()}
                ),
                replace(fourth, label_scores={k: v - 3.0 for k, v in fourth.label_scores.items()}),
                *rest,
            ]
        return None

    found = differences(run.folder, changed(run, tmp_path, change))
    assert [(d.kind, d.cell.selector, d.cell.seed) for d in found.differences] == [
        ("answer", "knn", 0), ("demonstrations", "knn", 0), ("probabilities", "knn", 0),
    ]  # fmt: skip
    assert found.compared == 80
    assert differences(run.folder, RunFolder.open(tmp_path / "copy"), tolerance=0.5).counts == {
        "missing": 0, "demonstrations": 1, "answer": 1, "probabilities": 0,
    }  # fmt: skip


def test_what_is_not_there_is_missing_and_what_was_not_complete_is_left_out(run, tmp_path):
    copy = changed(run, tmp_path, lambda cell, lines: None)
    path = next((copy.path / "cells").glob("*knn*s0*.jsonl"))
    path.with_suffix(".json").unlink()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    found = differences(run.folder, copy)
    assert found.counts["missing"] == 7
    assert found.left_out == ()
    back = differences(copy, run.folder)
    assert back.equal
    assert back.compared == 70
    assert len(back.left_out) == 1


def test_other_words_for_the_same_answer_are_counted_and_do_not_differ(write, tmp_path):
    run = icl.run(
        write(grid={"method": ["generate"]}), output=tmp_path / "runs",
        model=FakeModel(reply_with=lambda prompt, i: " good"),
    )  # fmt: skip
    again = icl.reproduce(
        run, output=tmp_path / "again", model=FakeModel(reply_with=lambda prompt, i: " good.\n")
    ).found
    assert again.equal
    assert again.texts == 60


def test_versions_and_hardware_that_are_not_the_same_are_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr("icl.experiments.folder.environment.versions", lambda: {"icl": "9.9", "numpy": "1"})
    monkeypatch.setattr("icl.experiments.folder.environment.hardware", lambda: {"cores": 64})
    found = icl.reproduce(run, output=tmp_path / "again").found
    told = {c.name: (c.before, c.after) for c in found.conditions}
    assert told["icl"] == ("0.1.0", "9.9")
    assert told["cores"][1] == "64"
    assert "torch" not in told or told["torch"][1] == ""
    assert found.equal


def test_a_run_folder_is_no_place_for_another(run):
    with pytest.raises(ConfigError, match="is a run folder, and would hold another; choose another --output"):
        icl.reproduce(run, output=run.path)
    assert not (run.path / run.path.name).exists()


def test_nothing_may_answer_in_place_of_the_model(run, tmp_path):
    with pytest.raises(ConfigError, match="is the run itself"):
        icl.reproduce(run, output=tmp_path / "runs")
    shutil.copytree(tmp_path / "runs" / ".cache", tmp_path / "used" / ".cache")
    with pytest.raises(ConfigError, match=r"\.cache: is there already, and not from reproducing this run"):
        icl.reproduce(run, output=tmp_path / "used")
    icl.run(tmp_path / "experiment.yaml", output=tmp_path / "own")
    with pytest.raises(ConfigError, match="small: is there already"):
        icl.reproduce(run, output=tmp_path / "own")


def test_an_empty_run_cannot_be_reproduced(write, tmp_path):
    class Tired(FakeModel):
        def score(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        icl.run(write(), output=tmp_path / "runs", model=Tired())
    for path in (tmp_path / "runs" / "small" / "cells").glob("*majority*"):
        path.unlink()
    with pytest.raises(DataError, match="no cell of it is complete"):
        icl.reproduce(tmp_path / "runs" / "small", output=tmp_path / "again")


def test_probabilities_of_scores():
    found = probabilities({"a": -1.0, "b": -1.0, "c": float("-inf")})
    assert found == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0})
    assert all(p != p for p in probabilities({"a": float("nan"), "b": 0.0}).values())


def test_cells_name_the_versions_they_were_made_with(write, tmp_path, monkeypatch):
    """A run that goes on after an upgrade: rows of the new version, and those of both, are marked."""

    class Tired(FakeModel):
        def score(self, requests: Any, on_result: Any = None) -> Any:
            if self.requests:
                raise KeyboardInterrupt
            return super().score(requests, on_result)

    path = write(seeds=[0, 1], grid={"selector": ["random"]}, leaderboard=None)
    with pytest.raises(KeyboardInterrupt):
        icl.run(path, output=tmp_path, model=Tired(), window=Window(requests=6))
    lines = {p.name: len(p.read_text().splitlines()) for p in (tmp_path / "small" / "cells").glob("*.jsonl")}
    begun = [name for name, count in lines.items() if 0 < count < 10]
    assert begun
    old = {"icl": "0.0.9", "torch": "1.0"}
    manifest = json.loads((tmp_path / "small" / "manifest.json").read_text())
    for environment in manifest["environments"].values():
        environment["versions"] = old
    (tmp_path / "small" / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("icl.experiments.folder.environment.hardware", lambda: {"cores": 64})
    run = icl.run(path, output=tmp_path)
    made = {r.cell.id: r.environments for r in run.results}
    assert all(len(keys) == (2 if f"{name}.jsonl" in begun else 1) for name, keys in made.items())
    rows = {row.selector: row.versions for row in run.leaderboard().rows}
    assert rows["zero_shot"].startswith("in part ")
    assert "‡ made with other versions than the rest" in " ".join(run.leaderboard().footer)


def test_a_folder_from_before_cells_said_so_counts_as_its_last_session(write, tmp_path):
    run = icl.run(write(), output=tmp_path)
    for path in (run.path / "cells").glob("*.json"):
        summary = json.loads(path.read_text())
        del summary["environments"]
        path.write_text(json.dumps(summary))
    again = icl.Run(run.path)
    (key,) = {k for r in again.results for k in r.environments}
    assert again.folder.environments()[key]["versions"] == again.folder.manifest()["versions"]
    assert not any(row.versions for row in again.leaderboard().rows)
