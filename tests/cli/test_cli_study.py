"""icl study from the command line: what it prints, its plan, its page, and Ctrl-C."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.study.conftest import Coins, planted

__all__ = ["planted"]
Icl = Callable[..., Any]


@pytest.fixture
def study(planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text("name: mine\nstudy: {coins: {throws: 60}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_claims_come_with_their_controls_and_the_folder_with_a_page(icl: Icl, study: Path) -> None:
    said = icl("study", "study.yaml", "-q")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "the coin is biased (planted)"
    assert [line.split(":")[0].strip() for line in lines[1:4]] == ["measured", "control", "holds"]
    assert lines[3].endswith("yes")
    assert "Note: a planted study" in lines
    assert lines[-1] == "Page: icl report studies/mine"
    made = icl("report", "studies/mine")
    assert (made.code, made.out.strip()) == (0, "report.html")
    assert "the coin is biased (planted)" in Path("report.html").read_text(encoding="utf-8")
    both = icl("report", "studies/mine", "studies/mine")
    assert both.code == 2
    assert "has a page of its own" in both.err


def test_json_is_the_report_alone(icl: Icl, study: Path) -> None:
    said = icl("study", "study.yaml", "--json", "-q", "-o", "out")
    assert json.loads(said.out) == json.loads(Path("out/mine/report.json").read_text(encoding="utf-8"))


def test_the_plan_says_what_dominates(icl: Icl, study: Path) -> None:
    said = icl("study", "study.yaml", "--plan", "-q")
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert lines[1] == ["biased", "60", "throws", "0.5", "0:30"]
    assert said.out.splitlines()[-1].startswith("About 0:46 on this machine, 65% of it for biased.")
    assert not Path("studies").exists()
    plan = json.loads(icl("study", "study.yaml", "--plan", "--json", "-q").out)
    assert plan["seconds"] == 46.0
    icl("study", "study.yaml", "-q")
    assert "Every step is done" in icl("study", "study.yaml", "--plan", "-q").out


def test_values_beside_the_file_make_a_study_of_its_own(icl: Icl, study: Path) -> None:
    assert icl("study", "study.yaml", "-q").code == 0
    said = icl("study", "study.yaml", "--set", "throws=20", "--set", "seed=7", "-q")
    assert said.code == 0, said.err
    (folder,) = (path for path in Path("studies").iterdir() if path.name != "mine")
    assert folder.name == "mine--seed=7--study.coins.throws=20"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (report["parameters"]["throws"], report["seed"]) == (20, 7)
    study.write_text("name: mine\nstudy: coins\n", encoding="utf-8")
    again = icl("study", "study.yaml", "--set", "throws=20", "--set", "seed=7", "--json", "-q")
    assert json.loads(again.out)["parameters"]["throws"] == 20


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--set", "thrws=3"], "--set thrws: study.coins.thrws: study 'coins' has no parameter 'thrws'"),
        (["--preset", "papr"], "--preset: study.coins.preset: unknown preset of 'coins' 'papr'"),
        (["--set", "throws"], "--set 'throws': write key=value"),
        (["--set", "throws=3", "--set", "study.coins.throws=4"], "is given twice"),
        (["--set", "study=[coins]"], "--set study"),
    ],
)
def test_a_value_that_cannot_be_is_said_with_its_option(
    arguments: list[str], error: str, icl: Icl, study: Path
) -> None:
    said = icl("study", "study.yaml", *arguments, "-q")
    assert said.code == 2
    assert error in said.err
    assert said.err.count("\n") == 1
    assert not Path("studies").exists()


def test_a_log_hears_of_each_step_and_of_what_it_says(icl: Icl, study: Path) -> None:
    said = icl("study", "study.yaml")
    steps = [line for line in said.err.splitlines() if line.startswith("step ")]
    assert steps == ["step 1 of 3: biased", "step 2 of 3: fair", "step 3 of 3: difference"]
    assert any(line.startswith("biased: ") and line.endswith("heads") for line in said.err.splitlines())


def test_after_ctrl_c_the_same_command_goes_on(icl: Icl, study: Path, monkeypatch) -> None:
    monkeypatch.setattr(Coins, "breaks_at", 20)
    said = icl("study", "study.yaml", "-q")
    assert said.code == 130
    assert (
        said.err == "icl: interrupted. Finished steps and checkpoints are kept; the same command goes on.\n"
    )
    nothing = icl("report", "studies/mine")
    assert (nothing.code, nothing.err.count("\n")) == (2, 1)
    assert "no step of this study is finished yet" in nothing.err
    monkeypatch.setattr(Coins, "breaks_at", None)
    again = icl("study", "study.yaml")
    assert again.code == 0
    assert "step 1 of 3: biased, goes on" in again.err


def test_a_wrong_file_is_one_line(icl: Icl, study: Path) -> None:
    study.write_text("name: mine\nstudy: {coinz: {}}\n", encoding="utf-8")
    said = icl("study", "study.yaml")
    assert said.code == 2
    assert said.err.startswith(
        "icl: error: study.yaml:2: study: unknown study 'coinz'. Did you mean 'coins'?"
    )
    assert said.err.count("\n") == 1


def test_studies_are_listed_with_parameters(icl: Icl, planted) -> None:
    rows = dict(line.split("\t")[:2] for line in icl("list", "studies").out.splitlines())
    assert rows["coins"] == "throws (required); bias (required); scale: 100.0; task:"
    known = icl("schema", "study")
    named = json.loads(known.out)["$defs"]["Component"]["anyOf"][2]["properties"]
    assert named["coins"]["properties"]["preset"] == {"enum": ["paper", "quick"]}


def test_check_lists_parameters_and_steps_or_what_is_wrong(icl: Icl, study: Path) -> None:
    said = icl("check", "study.yaml")
    lines = [line.split(maxsplit=1) for line in said.out.splitlines()]
    assert said.code == 0, said.err
    assert ["parameters", "throws=60, bias=0.9, scale=100.0, task="] in lines
    assert ["step", "biased: 60 throws"] in lines
    study.write_text("name: mine\nstudy: {coins: {throws: 0}}\n", encoding="utf-8")
    wrong = icl("check", "study.yaml")
    assert (wrong.code, wrong.err.count("\n")) == (1, 1)
    assert "throws is 0" in wrong.err


@pytest.mark.parametrize("command", ["run", "plan", "preview", "tune"])
def test_a_study_given_to_another_command_is_named(icl: Icl, study: Path, command: str) -> None:
    said = icl(command, "study.yaml")
    assert said.code == 2
    assert said.err == "icl: error: study.yaml: is a study, not an experiment: icl study study.yaml\n"
