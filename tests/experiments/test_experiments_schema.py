"""The JSON schema for editors: it takes every shipped file, refuses what icl refuses, and is current."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path

import pytest

from icl.errors import ConfigError
from icl.experiments.file.config import read_experiment
from icl.experiments.schema import schema
from icl.tasks.strict_yaml import read_yaml
from icl.tasks.yaml_loader import dump

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install jsonschema")
ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*(ROOT / "experiments").rglob("*.yaml"), *(ROOT / "icl/tasks/definitions").glob("*.yaml")])
KINDS = {
    kind: jsonschema.Draft202012Validator(schema(kind))
    for kind in ("experiment", "task", "recipe", "redteam", "study", "judging")
}
PLAIN = {"name": "a", "model": "fake", "task": "questions", "grid": {"selector": "random", "shots": [1]}}


def kind_of(data: dict) -> str:
    kinds = {"grid": "experiment", "parts": "recipe", "target": "redteam", "study": "study"}
    kinds["rows"] = "judging"
    return next((kind for key, kind in kinds.items() if key in data), "task")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_schema_and_the_one_in_docs(kind):
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    kept = json.loads((ROOT / "docs" / "schema" / f"{kind}.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(schema(kind))), f"icl schema {kind} > docs/schema/{kind}.json"


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_every_shipped_file_is_valid_and_names_its_schema(path):
    data, _ = read_yaml(path)
    KINDS[kind_of(data)].validate(data)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    (address,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", first)
    assert Path(os.path.normpath(path.parent / address)) == ROOT / "docs" / "schema" / f"{kind_of(data)}.json"


def misspelt(data: dict) -> list[dict]:
    """The file with one letter more in a key, for each key of a section that is known."""
    found = []
    places = [(), ("grid",), ("leaderboard",), ("prompt",), ("template",), ("source",), ("answer",)]
    for place in places:
        for key in list(data.get(place[0], {}) if place else data):
            other = copy.deepcopy(data)
            section = other[place[0]] if place else other
            section[f"{key}x"] = section.pop(key)
            found.append(other)
    return found


@pytest.mark.parametrize(
    "path", [p for p in SHIPPED if "own_task" in p.parts or p.stem == "tuning"], ids=name
)
def test_a_misspelt_key_is_refused(path):
    data, _ = read_yaml(path)
    wrong = misspelt(data)
    assert len(wrong) > 8
    assert [other for other in wrong if KINDS[kind_of(data)].is_valid(other)] == []


GRIDS = [
    ({"selector": "knn"}, True),
    ({"selector": ["knn", {"mmr": {"lambda": 0.5}}]}, True),
    ({"selector": {"knn": None}}, True),
    ({"selector": "mine.module:Class"}, True),
    ({"selector": {"mine.module:Class": {"any": 1}}}, True),
    ({"selector": []}, False),
    ({"selector": {"knn": {}, "bm25": {}}}, False),
    ({"selector": "random", "shots": 4}, True),
    ({"selector": "random", "shots": [-1]}, False),
    ({"selector": "random", "shots": ["4"]}, False),
    ({"selector": "random", "only": {"selector": "knn", "shots": [4, 8]}}, True),
    ({"selector": "random", "only": [{"selectr": "knn"}]}, False),
]
CHANGES = [
    ({"model": ["fake", {"org/name": {"dtype": "float32"}}]}, True),
    ({"model": {"fake": {"name": "other"}}}, True),
    ({"model": {"org/name": {"dtipe": "float32"}}}, False),
    ({"model": []}, False),
    ({"model": 3}, False),
    ({"pool": "all"}, True),
    ({"pool": "some"}, False),
    ({"pool": 0}, False),
    ({"seeds": 3}, True),
    ({"seeds": [-1]}, False),
    ({"task": ["a", "b"]}, True),
    ({"task": []}, False),
    ({"think": ["<a>", "</a>"]}, True),
    ({"think": [["<a>", "</a>"]]}, True),
    ({"prompt": {"chat": "turns"}}, True),
    ({"prompt": {"chat": "turn"}}, False),
    ({"duplicate_threshold": 0}, False),
    ({"leaderboard": {"compare_to": "random"}}, True),
    ({"leaderboard": {"compare_to": {"orderer": "as_selected", "shots": 4}}}, True),
    ({"leaderboard": {"compare_to": {"order": "as_selected"}}}, False),
]


@pytest.mark.parametrize(
    ("changes", "good"),
    [*CHANGES, *(({"grid": {"shots": [1], **grid}}, good) for grid, good in GRIDS)],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_the_schema_and_the_reader_agree(changes, good):
    data = {**PLAIN, **changes}
    try:
        read_experiment(data)
        read = True
    except ConfigError:
        read = False
    assert (KINDS["experiment"].is_valid(data), read) == (good, good)


@pytest.mark.parametrize(
    "grid", [{"selector": "kn"}, {"selector": {"mmr": {"lamda": 1}}}, {"tuning": "lorra"}]
)
def test_names_and_parameters_of_components_are_known(grid):
    good = {
        "selector": {"mmr": {"lambda": 1}},
        "tuning": ["none", {"lora": {"rank": 4}}, {"saved": "folder"}],
    }
    assert KINDS["experiment"].is_valid({**PLAIN, "grid": {"shots": 1, **good}})
    assert not KINDS["experiment"].is_valid({**PLAIN, "grid": {"shots": 1, **good, **grid}})


def test_what_a_run_folder_holds_is_valid():
    resolved, _ = read_experiment({**PLAIN, "leaderboard": {"compare_to": "random"}})
    KINDS["experiment"].validate(json.loads(json.dumps(resolved.resolved)))
    assert dump(resolved.resolved)


def test_another_kind_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'task'"):
        schema("tasks")
