"""The guide names every key there is, the architecture its layers and files, the citation its version;
every component has a card, and a card says what its component takes."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

import icl
from icl.cot.self_training import training_rows
from icl.experiments.file.axes import Grid
from icl.experiments.file.config import Experiment, LeaderboardSettings, PromptSettings, read_experiment
from icl.experiments.grid.check import check
from icl.judging import judges
from icl.mechanism.contract import studies
from icl.protocols import methods, orderers, selectors, tuners
from icl.registry import Entry, Registry
from icl.tasks import read_task_file
from icl.tasks.schema import SOURCES, Source, TaskFile, TemplateFile
from icl.tasks.transforms import TRANSFORMS
from icl.tuning.shared.settings import TrainingSettings
from icl.types import TaskKind

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
KEYS: list[tuple[str, type[BaseModel]]] = [
    ("", Experiment),
    ("prompt.", PromptSettings),
    ("leaderboard.", LeaderboardSettings),
    ("", TaskFile),
    ("template.", TemplateFile),
    ("", Source),
]


def first_cells(text: str) -> set[str]:
    """What stands in code quotes in the first column of the tables."""
    rows = re.findall(r"^\|([^|]+)\|", text, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w.]+)", row)}


def yaml_blocks() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("prefix", "section"), KEYS, ids=lambda value: getattr(value, "__name__", value))
def test_every_key_is_in_the_guide(prefix: str, section: type[BaseModel]) -> None:
    told = first_cells(GUIDE)
    sections = {"prompt", "leaderboard", "template"}
    missing = {f"{prefix}{key}" for key in section.model_fields} - told - sections
    assert not missing, f"docs/guide.md says nothing about {sorted(missing)}"


def test_every_key_of_the_grid_is_in_the_guide() -> None:
    block = next(yaml.safe_load(text) for text in yaml_blocks() if "grid:" in text)
    assert set(block["grid"]) == set(Grid.model_fields)


def test_sources_transforms_and_kinds_are_in_the_guide() -> None:
    assert set(SOURCES) | set(TRANSFORMS) <= first_cells(GUIDE)
    assert all(f"`{kind}`" in GUIDE for kind in get_args(TaskKind))


def test_the_guides_experiment_and_task_are_valid(tmp_path: Path) -> None:
    experiment = next(yaml.safe_load(text) for text in yaml_blocks() if "grid:" in text)
    rare = {"dtype", "engine", "context_length", "batch_invariant", "think", "track", "executor", "metric"}
    assert set(experiment) == set(Experiment.model_fields) - rare
    assert check(*read_experiment({**experiment, "model": "fake"})).cells
    (tmp_path / "tickets.yaml").write_text(next(t for t in yaml_blocks() if "kind:" in t), encoding="utf-8")
    shipped = read_task_file(ROOT / "experiments" / "own_task" / "tickets.yaml")
    read = read_task_file(tmp_path / "tickets.yaml")
    assert (read.labels, read.template, read.source) == (shipped.labels, shipped.template, shipped.source)


def test_defaults_in_the_guide_are_those_of_the_code() -> None:
    defaults = {
        "pool": Experiment.model_fields["pool"].default,
        "test": Experiment.model_fields["test"].default,
        "encoder": Experiment.model_fields["encoder"].default,
        "engine": Experiment.model_fields["engine"].default,
        "duplicate_threshold": Experiment.model_fields["duplicate_threshold"].default,
        "max_answer_tokens": TaskFile.model_fields["max_answer_tokens"].default,
        "metric": TaskFile.model_fields["metric"].default,
    }
    for key, value in defaults.items():
        (row,) = re.findall(rf"^\| `{key}` .*\| *`?([^|`]+?)`? *\|$", GUIDE, flags=re.MULTILINE)
        assert row == str(value), key


def test_the_layers_are_those_that_are_enforced() -> None:
    spec = importlib.util.spec_from_file_location("layers_of_icl", ROOT / "tests" / "test_layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    section = ARCHITECTURE.split("## Layers")[1].split("##")[0]
    told = [set(re.findall(r"`(\w+)`", line)) for line in re.findall(r"^\d+\. (.*)$", section, re.MULTILINE)]
    assert told == module.LAYERS[: len(told)]
    assert module.LAYERS[len(told) :] == [{"__init__", "__main__"}]


def test_the_architecture_names_real_files() -> None:
    engine = ARCHITECTURE.split("## The engine")[1].split("\n## ")[0]
    files = {
        path.relative_to(ROOT / "icl" / "engine").as_posix() for path in (ROOT / "icl/engine").rglob("*.py")
    }
    named = set(re.findall(r"`((?:\w+/)?\w+\.py)`", engine))
    assert len(named) > 15
    assert [
        name for name in sorted(named) if not any(f"/{file}".endswith(f"/{name}") for file in files)
    ] == []
    elsewhere = set(re.findall(r"`(icl/[\w/.]+|tests/[\w/.]+|docs/[\w/.]+)`", ARCHITECTURE))
    assert [name for name in sorted(elsewhere) if not (ROOT / name).exists()] == []


def test_the_map_of_rooms_is_that_of_the_folders() -> None:
    rooms = ARCHITECTURE.split("    engine/ ")[1].split("\n\n")[0]
    for part in ("engine", "experiments"):
        for room in (ROOT / "icl" / part).iterdir():
            if room.is_dir() and room.name != "__pycache__":
                assert f"{room.name}/ " in rooms, f"icl/{part}/{room.name}"


def test_citation_and_changelog_have_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == icl.__version__
    assert citation["license"] == "Apache-2.0"
    assert icl.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


CARDS = ROOT / "docs" / "methods"
REGISTRIES: dict[str, Registry[Any]] = {
    "selector": selectors,
    "orderer": orderers,
    "method": methods,
    "tuner": tuners,
    "judge": judges,
    "study": studies,
}
COMPONENTS = [(kind, registry.entry(name)) for kind, registry in REGISTRIES.items() for name in registry]
NO_COMPONENT = {"cot_self_training": training_rows}
"""Cards of functions: what they describe is called from Python and stands in no grid."""
INDEX = "README"
LAST = "What our run shows."


def card_of(kind: str, entry: Entry[Any]) -> str:
    """The name; in front of it `cot_` for chain of thought, the kind where another kind has the name too."""
    if entry.factory.__module__.startswith("icl.cot."):
        return f"cot_{entry.name}"
    shared = Counter(entry.name for _, entry in COMPONENTS)
    return f"{kind}_{entry.name}" if shared[entry.name] > 1 else entry.name


EXPECTED = {card_of(kind, entry): entry for kind, entry in COMPONENTS}


def tabled(card: str) -> list[str]:
    """The names in code quotes in the first column of a card's table of parameters, less its heading."""
    rows = re.findall(r"^\|([^|]+)\|", card, flags=re.MULTILINE)
    assert rows[0].strip() == "parameter"
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_component_has_a_card_and_every_card_a_component() -> None:
    assert len(EXPECTED) == len(COMPONENTS), "two components share a card"
    written = {path.stem for path in CARDS.glob("*.md")} - {INDEX}
    assert sorted(set(EXPECTED) - written) == [], "components without a card"
    assert sorted(written - set(EXPECTED) - set(NO_COMPONENT)) == [], "cards without a component"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_card_lists_the_parameters_of_its_component(name: str) -> None:
    told = tabled((CARDS / f"{name}.md").read_text(encoding="utf-8"))
    takes = {p.name.rstrip("_") for p in EXPECTED[name].parameters}
    factory = EXPECTED[name].factory
    in_index = (
        set(TrainingSettings.__dataclass_fields__) if _is_subclass(factory, TrainingSettings) else set()
    )
    assert takes - in_index <= set(told) <= takes
    assert len(told) == len(set(told))


def _is_subclass(factory: object, base: type) -> bool:
    return isinstance(factory, type) and issubclass(factory, base)


def test_the_index_names_the_settings_of_every_tuner() -> None:
    index = (CARDS / f"{INDEX}.md").read_text(encoding="utf-8").split("| setting |")[1]
    told = {
        name.strip() for row in re.findall(r"^\|([^|]+)\|", index, re.MULTILINE) for name in row.split(",")
    }
    assert set(TrainingSettings.__dataclass_fields__) <= told


@pytest.mark.parametrize(("name", "function"), NO_COMPONENT.items())
def test_a_card_of_a_function_lists_some_of_its_parameters(name: str, function: Any) -> None:
    told = tabled((CARDS / f"{name}.md").read_text(encoding="utf-8"))
    assert set(told) <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize("path", sorted(CARDS.glob("[!R]*.md")), ids=lambda path: path.stem)
def test_the_form_of_a_card(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.stem in EXPECTED:
        assert re.match(rf"# {EXPECTED[path.stem].name}: \S.*[^.]\n", text), "`# name: what it does`"
    sections = re.findall(r"^\*\*(.+?)\*\*", text, flags=re.MULTILINE)
    if sections[-1] == LAST:
        sections.pop()
    assert LAST not in sections, "our own figures stand at the end"
    assert (sections[:2], sections[-1]) == (["Idea.", "Definition."], "Cost.")
    assert text.count("\n|---|") == 1


def test_the_index_has_a_line_for_every_card() -> None:
    index = (CARDS / f"{INDEX}.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[`(\w+)`\]\((\w+)\.md\) \|", index, flags=re.MULTILINE)
    expected = [(entry.name, card) for card, entry in EXPECTED.items()]
    assert sorted(linked) == sorted([*expected, ("training_rows", "cot_self_training")])
