"""Every YAML that is shipped is valid, says how to run it, and is checked without loading a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from icl.experiments.corpus.check import check_recipe
from icl.experiments.corpus.recipe import read_recipe
from icl.experiments.file.config import Experiment, read_experiment
from icl.experiments.file.judging import choices_of, read_judging, rows_of
from icl.experiments.graded import read_labelled
from icl.experiments.grid.check import check
from icl.experiments.redteam.check import check_red_team
from icl.experiments.redteam.file import read_red_team
from icl.experiments.redteam.plan import plan_red_team
from icl.experiments.running import turn
from icl.experiments.study.check import check_study
from icl.experiments.study.file import read_study
from icl.mechanism.contract import studies
from icl.protocols import metrics
from icl.tasks import read_task_file, task_names

ROOT = Path(__file__).parents[1]
MIRROR = Path(os.environ.get("ICL_DATA") or ROOT.parent / "shared" / "data")
EVERY = sorted((ROOT / "experiments").rglob("*.yaml"))
RECIPES = [path for path in EVERY if "parts" in yaml.safe_load(path.read_text(encoding="utf-8"))]
STUDIES = [path for path in EVERY if "study" in yaml.safe_load(path.read_text(encoding="utf-8"))]
REDTEAMS = [path for path in EVERY if "target" in yaml.safe_load(path.read_text(encoding="utf-8"))]
JUDGINGS = [path for path in EVERY if "rows" in yaml.safe_load(path.read_text(encoding="utf-8"))]
SHIPPED = [path for path in EVERY if path not in RECIPES + STUDIES + REDTEAMS + JUDGINGS]
TASK_FILES = [path for path in SHIPPED if "source" in yaml.safe_load(path.read_text(encoding="utf-8"))]
EXPERIMENTS = [path for path in SHIPPED if path not in TASK_FILES]
DEFINITIONS = sorted((ROOT / "icl" / "tasks" / "definitions").glob("*.yaml"))
LOCAL = {"generator", "bundled"}
"""Sources that need neither the hub nor ICL_DATA."""
CHECK_ALONE = """
import sys
from icl.experiments.grid.check import check
from icl.experiments.file.config import read_experiment
assert check(*read_experiment(sys.argv[1])).cells
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def header(path: Path) -> str:
    """The comment lines at the top of a file, without their marks."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return "\n".join(lines)


def missing_data(experiment: Experiment) -> list[str]:
    """Tasks of an experiment whose rows are on the hub, or in a local mirror, and not here."""
    missing = []
    for task in experiment.task:
        if task not in task_names():
            continue
        source = read_task_file(ROOT / "icl" / "tasks" / "definitions" / f"{task}.yaml").source
        if source.kind not in LOCAL and not (MIRROR / (source.mirror or task)).is_dir():
            missing.append(task)
    return missing


def stand_in(experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row in place of each corpus that the header tells how to build."""
    found: list[str] = []
    for tuning in experiment.grid.tuning:
        given = tuning.parameters.get("file", [])
        found += [given] if isinstance(given, str) else given
    for name in found:
        if name.startswith("corpora/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(
                '{"instruction": "Say hello.", "output": "Hello."}\n', encoding="utf-8"
            )
    monkeypatch.chdir(folder)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(turn, "open_model", refuse)
    monkeypatch.setattr("icl.engine.loading.load.load_model", refuse)
    monkeypatch.setattr("icl.experiments.asking.models.load_model", refuse)


def test_there_are_some_of_each() -> None:
    found = {name(path) for path in SHIPPED}
    assert {"experiments/quickstart.yaml", "experiments/sst2.yaml"} <= found
    assert len(EXPERIMENTS) >= 3
    assert TASK_FILES
    assert RECIPES
    assert STUDIES
    assert REDTEAMS
    assert len(DEFINITIONS) >= 25


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
@pytest.mark.usefixtures("no_model")
def test_an_experiment_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    experiment, source = read_experiment(path)
    missing = missing_data(experiment)
    if missing:
        pytest.skip(f"no local copy of {', '.join(missing)}: set ICL_DATA to a folder of data sets")
    if MIRROR.is_dir():
        monkeypatch.setenv("ICL_DATA", str(MIRROR))
    if all(choice.name.startswith("models/") for choice in experiment.models):
        # Files that the header tells how to get: all the rest is checked with the fake model.
        experiment = experiment.model_copy(update={"model": "fake"})
    if "models/" in str(experiment.metric):
        assert experiment.metric is not None
        ((judge, given),) = experiment.metric["judge"].items()
        given = {key: value for key, value in (given or {}).items() if key != "dtype"} | {"model": "fake"}
        experiment = experiment.model_copy(update={"metric": {"judge": {judge: given}}})
    stand_in(experiment, tmp_path, monkeypatch)
    checked = check(experiment, source)
    assert checked.cells
    labels = {cell.cell.selector for cell in checked.cells}
    assert labels >= {selector.label for selector in experiment.grid.selector}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_reads_without_its_data(path: Path) -> None:
    experiment, _ = read_experiment(path)
    again, _ = read_experiment(experiment.resolved)
    assert again == experiment, "the resolved file is the same experiment"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_a_header_has_the_command_the_data_and_what_to_expect(path: Path) -> None:
    text = header(path)
    assert f"icl run {name(path)}" in text
    assert "Data:" in text or "ICL_DATA must hold" in text
    assert "Expect:" in text


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_is_valid_and_says_how_to_build_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if MIRROR.is_dir():
        monkeypatch.setenv("ICL_DATA", str(MIRROR))
    recipe, source = read_recipe(path)
    assert read_recipe(recipe.resolved)[0] == recipe
    text = header(path)
    assert f"icl data build {name(path)}" in text
    assert "Data:" in text
    assert "Expect:" in text
    if "models/" in str(recipe.model):
        recipe = recipe.model_copy(update={"model": "fake"})
    needs = [*(str(part.parameters["task"]) for part in recipe.parts if "task" in part.parameters)]
    if not MIRROR.is_dir() and not set(needs) <= {"questions", "reviews"}:
        pytest.skip("no local copy of its tasks: set ICL_DATA to a folder of data sets")
    checked = check_recipe(recipe, source)
    assert [one.label for one in checked.parts[: len(recipe.parts)]] == [part.label for part in recipe.parts]


@pytest.mark.parametrize("path", STUDIES, ids=name)
def test_a_study_is_valid_and_says_how_to_run_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = header(path)
    assert f"icl study {name(path)}" in text
    assert "Data:" in text
    assert "Expect:" in text
    file, source = read_study(path)
    assert file.name == path.stem
    if studies.create(file.study.name, file.given).tasks() and not MIRROR.is_dir():
        pytest.skip("no local copy of its tasks: set ICL_DATA to a folder of data sets")
    monkeypatch.setenv("ICL_DATA", str(MIRROR))
    assert check_study(file, source).study.steps()


@pytest.mark.parametrize("path", REDTEAMS, ids=name)
def test_a_red_teaming_is_valid_and_says_how_to_run_it(path: Path) -> None:
    file, source = read_red_team(path)
    assert read_red_team(file.resolved)[0] == file
    text = header(path)
    assert f"icl redteam {name(path)}" in text
    assert "Data:" in text
    assert "Expect:" in text
    ((judge, given),) = file.judge.items()
    assert given is not None
    here = {key: value for key, value in given.items() if key != "dtype"} | {"model": "fake"}
    file = file.model_copy(update={"judge": {judge: here}, "red": "fake", "target": "fake"})
    steps = plan_red_team(check_red_team(file, source))
    assert [one.questions for one in steps] == [12, 200] * 3 + [200] * 3
    assert sum(one.total.requests for one in steps) == 200 + 212 + 212 * 4 + 200 + 200 + 200 * 4


@pytest.mark.parametrize("path", JUDGINGS, ids=name)
def test_a_judging_is_valid_and_says_how_to_run_it(path: Path) -> None:
    text = header(path)
    assert f"icl judge {name(path)}" in text
    assert "Data:" in text
    assert "Expect:" in text
    judging, source = read_judging(path)
    alone = judging.model_copy(update={"models": ("fake", "fake"), "dtype": None})
    first, second = (choice.build() for choice in choices_of(alone, source))
    assert first.content == second.content
    assert read_labelled(rows_of(judging, source), judging.language)


def test_names_of_experiments_differ() -> None:
    names = [read_experiment(path)[0].name for path in EXPERIMENTS]
    assert len(set(names)) == len(names), "they would share a run folder"


def test_checking_imports_no_model_code() -> None:
    path = ROOT / "experiments" / "own_task" / "experiment.yaml"
    done = subprocess.run([sys.executable, "-c", CHECK_ALONE, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [*TASK_FILES, *DEFINITIONS], ids=name)
def test_a_task_file_is_valid(path: Path) -> None:
    file = read_task_file(path)
    assert file.name == path.stem
    assert file.description
    assert file.metric in metrics
    assert header(path), "a comment says where the data come from"
