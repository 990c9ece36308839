"""--allow-code: every place of an experiment, a task file and a run folder that may name a class."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import icl as library
from icl.errors import ConfigError

GENERATING = {
    "inputs": ["question"],
    "kind": "numeric",
    "source": {"generator": {"name": "arithmetic", "train": 30}},
}
MINE = """
from pathlib import Path
from icl.metrics.accuracy import Accuracy
from icl.methods.direct import Direct
from icl.orderers.as_selected import AsSelected
from icl.selectors.bm25 import BM25
from icl.tasks.generators.arithmetic import Arithmetic
from icl.cot.few_shot import FewShot

Path(__file__).with_suffix(".trace").touch()

class Metric(Accuracy): pass
class Method(Direct): pass
class Orderer(AsSelected): pass
class Selector(BM25): pass
class Generator(Arithmetic): pass
class Chains(FewShot): pass
"""
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "selector": ({"grid": {"selector": "mine:Selector"}}, {}),
    "orderer": ({"grid": {"orderer": {"mine:Orderer": {}}}}, {}),
    "method": ({"grid": {"method": ["direct", "mine:Method"]}}, {}),
    "metric": ({"leaderboard": {"metric": "mine:Metric"}}, {}),
    "metric of the task": ({}, {"metric": "mine:Metric"}),
    "selector of a selector": ({"grid": {"selector": {"annotated": {"selector": "mine:Selector"}}}}, {}),
    "selector of another": (
        {"grid": {"selector": {"pvi": {"selector": "mine:Selector", "validation": 5}}}},
        {},
    ),
    "selector of a method": ({"grid": {"method": {"few_shot": {"selector": "mine:Selector"}}}}, GENERATING),
    "method of a method": (
        {"grid": {"method": {"self_consistency": {"n": 2, "of": "mine:Chains"}}}},
        GENERATING,
    ),
    "and of one below": (
        {
            "grid": {
                "method": {"self_consistency": {"n": 2, "of": {"ensemble": {"n": 2, "of": "mine:Chains"}}}}
            }
        },
        GENERATING,
    ),
    "generator": (
        {"grid": {"method": "generate"}},
        GENERATING | {"source": {"generator": {"name": "mine:Generator", "train": 30, "test": 8}}},
    ),
}


@pytest.fixture
def write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """write(place): the experiment with a class outside icl there, and `mine.py` in the current folder."""
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    def make(place: str) -> None:
        experiment, task = PLACES[place]
        tree = yaml.safe_load((folder / "experiment.yaml").read_text(encoding="utf-8"))
        tree["leaderboard"] = {}
        tree["grid"] |= experiment.get("grid", {})
        tree["leaderboard"] |= experiment.get("leaderboard", {})
        (folder / "experiment.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        tree = yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8")) | task
        if task.get("kind") == "numeric":
            del tree["labels"]
            tree["template"] = {"query": "Q: {{ question }}\nA:"}
        (folder / "task.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")

    return make


@pytest.mark.parametrize("place", PLACES)
def test_a_class_outside_icl_is_not_even_imported_unasked(icl, folder, write, place):
    write(place)
    for command, code in {"plan": 2, "run": 2, "preview": 2, "check": 1}.items():
        said = icl(command, "experiment.yaml")
        if (command, place) == ("preview", "metric"):
            continue  # prompts are shown without asking how answers are judged
        assert (said.code, said.out) == (code, ""), said.err
        assert "'mine:" in said.err
        assert "is code outside icl" in said.err
        assert "--allow-code" in said.err
        assert said.err.startswith(("icl: error: experiment.yaml:", "icl: error: task.yaml:"))
        assert said.err.count("\n") == 1
    assert not (folder / "mine.trace").exists()
    with pytest.raises(ConfigError, match="allow_code=True"):
        library.run("experiment.yaml")
    assert not (folder / "mine.trace").exists()


@pytest.mark.parametrize("place", PLACES)
def test_it_is_run_where_that_was_asked_for(icl, folder, write, place):
    write(place)
    said = icl("plan", "experiment.yaml", "--allow-code")
    assert said.code == 0, said.err
    assert (folder / "mine.trace").exists()


@pytest.mark.parametrize("place", ["method", "metric", "metric of the task"])
def test_a_run_folder_is_no_permission(icl, folder, write, place):
    write(place)
    assert icl("run", "experiment.yaml", "-q", "--allow-code").code == 0
    (folder / "mine.trace").unlink()
    sys.modules.pop("mine")
    cell = "random_2_as_selected_mine_Method_s0"
    if "metric" in place:
        command = ("leaderboard", "runs/small")
        said = icl(*command)
        assert (said.code, "--allow-code" in said.err) == (2, True), said.err
    else:  # what was answered is shown, in the task's own form, and why is said
        command = ("show", "runs/small", "--query", "test-7", "--cell", cell)
        said = icl(*command)
        assert (said.code, "is code outside icl" in " ".join(said.out.split())) == (0, True), said.out
    assert not (folder / "mine.trace").exists()
    assert icl(*command, "--allow-code").code == 0
    assert (folder / "mine.trace").exists()


def test_a_metric_of_the_command_line_needs_it_too(icl, folder, write):
    assert icl("run", "experiment.yaml", "-q").code == 0
    write("selector")
    said = icl("leaderboard", "runs/small", "--metric", "mine:Metric")
    assert (said.code, "--allow-code" in said.err, (folder / "mine.trace").exists()) == (2, True, False)
    assert icl("leaderboard", "runs/small", "--metric", "mine:Metric", "--allow-code").code == 0


def test_from_python_and_no_longer_than_asked(folder, write, monkeypatch):
    write("metric")
    monkeypatch.syspath_prepend(str(folder))
    run = library.run("experiment.yaml", allow_code=True)
    assert run.leaderboard().rows
    with pytest.raises(ConfigError, match="outside icl"):
        library.Run(run.path).leaderboard()
    assert library.Run(run.path, allow_code=True).leaderboard().rows
    with pytest.raises(ConfigError, match="outside icl"):
        library.run("experiment.yaml")


def test_the_current_folder_is_on_the_path_only_where_it_was_allowed(icl, folder, write):
    assert icl("run", "experiment.yaml", "-q").code == 0
    assert "" not in sys.path
    write("selector")
    assert icl("plan", "experiment.yaml", "--allow-code").code == 0
    assert sys.path[-1] == ""


def test_listing_reads_no_file_and_help_says_what_it_means(icl, folder, write):
    write("selector")
    assert icl("list").code == 0
    for command in ("run", "plan", "check", "preview", "leaderboard", "show"):
        said = icl(command, "--help")
        assert "--allow-code" in said.out
        assert "trust" in said.out
    assert not (folder / "mine.trace").exists()
