"""A study as a run: what is kept, what is done again, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import icl
from icl.errors import ConfigError
from icl.experiments.study import drawing
from icl.mechanism.contract import Decoder

STUDY: dict[str, Any] = {"name": "planted", "study": {"coins": {"throws": 60}}, "seed": 3}


def changed(**parameters: Any) -> dict[str, Any]:
    return {**STUDY, "study": {"coins": {"throws": 60, **parameters}}}


def test_a_planted_bias_is_found_and_reported(planted, tmp_path: Path) -> None:
    made = icl.study(STUDY, output=tmp_path)
    assert planted.done == ["biased", "fair", "difference"]
    (claim,) = made.report["claims"]
    assert claim["holds"] is True
    assert made.report["complete"] is True
    assert json.loads((made.path / "report.json").read_text()) == made.report
    assert (made.path / "figures" / "shares.png").read_bytes().startswith(b"\x89PNG")
    text = made.text_file.read_text()
    assert f"measured: {claim['measured']}" in text
    assert "| biased |" in text
    assert made.report["notes"][0] == "a planted study"
    assert any(note.endswith("heads") for note in made.report["notes"])
    assert any("not finite" in note and "nothing" in note for note in made.report["notes"])


def test_a_coin_without_bias_holds_nothing(planted, tmp_path: Path) -> None:
    (claim,) = icl.study(changed(bias=0.5), output=tmp_path).report["claims"]
    assert claim["holds"] is False


def test_the_folder_says_all_that_it_was_made_of(planted, tmp_path: Path) -> None:
    folder = icl.study(STUDY, output=tmp_path).path
    resolved = yaml.safe_load((folder / "study.yaml").read_text())
    assert resolved["study"]["coins"] == {
        "preset": "quick",
        "throws": 60,
        "bias": 0.9,
        "scale": 100.0,
        "task": "",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["identity"]["seed"] == 3
    assert [session["ended_by"] for session in manifest["sessions"]] == ["complete"]
    assert {"icl", "torch"} <= set(manifest["versions"])
    again = icl.study(folder / "study.yaml", output=tmp_path)
    assert planted.done == ["biased", "fair", "difference"]
    assert again.report == json.loads((folder / "report.json").read_text())


def test_a_changed_parameter_redoes_only_what_depends_on_it(planted, tmp_path: Path) -> None:
    first = icl.study(STUDY, output=tmp_path)
    planted.done.clear()
    second = icl.study(changed(scale=10.0), output=tmp_path)
    assert planted.done == ["difference"]
    assert second.report["tables"] == first.report["tables"]
    planted.done.clear()
    icl.study(changed(scale=10.0, bias=0.2), output=tmp_path)
    assert planted.done == ["biased", "difference"]
    planted.done.clear()
    back = icl.study(STUDY, output=tmp_path)
    assert planted.done == []
    assert back.report == first.report


@pytest.mark.parametrize(
    ("change", "said"), [({"seed": 4}, "another seed"), ({"study": "looking"}, "another study")]
)
def test_a_folder_of_something_else_is_refused(planted, tmp_path: Path, change, said) -> None:
    folder = icl.study(STUDY, output=tmp_path).path
    before = {path.name: path.read_bytes() for path in folder.rglob("*.json")}
    decoder = Decoder("none", None, None, lambda: None, "print")  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigError, match=said):
        icl.study({**STUDY, **change}, output=tmp_path, model=decoder)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.json")} == before
    icl.study({**STUDY, "seed": 4}, output=tmp_path, restart=True)
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("planted.")]) == 1


@pytest.mark.parametrize("at", [1, 17, 60])
def test_broken_off_it_goes_on_and_finds_the_same(planted, monkeypatch, tmp_path: Path, at: int) -> None:
    whole = icl.study(STUDY, output=tmp_path / "whole").report
    planted.done.clear()
    monkeypatch.setattr(planted, "breaks_at", at)
    with pytest.raises(KeyboardInterrupt):
        icl.study(STUDY, output=tmp_path / "broken")
    manifest = json.loads((tmp_path / "broken" / "planted" / "manifest.json").read_text())
    assert manifest["sessions"][0]["ended_by"] == "Ctrl-C"
    monkeypatch.setattr(planted, "breaks_at", None)
    report = icl.study(STUDY, output=tmp_path / "broken").report
    for key in ("claims", "tables", "figures", "notes"):
        assert report[key] == whole[key]
    assert [step["resumed"] for step in report["steps"]] == [True, False, False]
    assert not list((tmp_path / "broken" / "planted" / "work").iterdir())


def test_without_matplotlib_the_study_goes_on_and_says_so(planted, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)
    said = drawing.draw_figures(planted(throws=1, bias=1).report({"fair": {"share": 1}}).figures, tmp_path)
    assert "pip install 'icl[plot]'" in said
    made = icl.study(STUDY, output=tmp_path)
    assert made.report["complete"]
    assert not (made.path / "figures").exists()


def test_the_plan_measures_what_is_left_and_writes_nothing(planted, tmp_path: Path) -> None:
    plan = icl.plan_study(STUDY, output=tmp_path)
    assert [step.seconds for step in plan.steps] == [30.0, 15.0, 1.0]
    assert plan.seconds == 46.0
    assert plan.dominant is plan.steps[0]
    assert not list(tmp_path.iterdir())
    icl.study(STUDY, output=tmp_path)
    later = icl.plan_study(changed(scale=1.0), output=tmp_path)
    assert [step.done for step in later.steps] == [True, True, False]
    assert later.seconds == 1.0
