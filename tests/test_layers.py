"""Imports run one way only: every import of every module of icl, read from its source.

Imports inside functions and under TYPE_CHECKING count too: a layer that is reached lazily is
still reached.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import icl

ROOT = Path(icl.__file__).parent

LAYERS: list[set[str]] = [
    {
        "atomic",
        "cache",
        "types",
        "printable",
        "errors",
        "outside",
        "registry",
        "protocols",
        "training",
        "tracking",
        "seeding",
        "components",
        "mixing",
        "conversation",
        "judging",
        "labels",
        "database",
        "thinking",
    },
    {"tasks", "prompts", "encoders", "engine", "metrics", "trackers"},
    {"backends", "executors"},
    {"selectors", "orderers", "methods", "calibration", "cot", "judges"},
    {"tuning"},
    {"instructions", "mechanism", "feedback", "redteam"},
    {"experiments", "bench"},
    {"leaderboard"},
    {"api"},
    {"pages"},
    {"cli"},
    {"__init__", "__main__"},
]
SIBLINGS = next(row for row in LAYERS if "selectors" in row)
"""They see protocols, encoders, tasks and prompts, but neither one another nor the engine."""

ROOMS: dict[str, list[set[str]]] = {
    "engine": [
        {"script"},
        {"trie", "requests"},
        {"fake"},
        {"native"},
        {"attention"},
        {"trunks"},
        {"forward"},
        {"decoding"},
        {"rungs"},
        {"loading"},
        {"measuring"},
        {"__init__"},
    ],
    "experiments": [
        {"records", "contracts"},
        {"file"},
        {"asking"},
        {"grid"},
        {"folder"},
        {"running"},
        {"plan", "audit", "finding", "status", "differences", "graded"},
        {"corpus", "study"},
        {"redteam"},
        {"preview", "reproduce", "schema"},
        {"__init__"},
    ],
}
"""Rooms of a part, in the same way: imports run from a row to the rows above it."""
FAMILIES = (
    "selectors",
    "orderers",
    "methods",
    "calibration",
    "cot",
    "metrics",
    "tuning",
    "trackers",
    "judges",
)
"""A file is one published method; what several of them build on is in the room `shared`."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(ROOT.rglob("*.py"))


def part_of(module: Path) -> str:
    """The first name under icl: icl/selectors/knn.py -> selectors, icl/types.py -> types."""
    inside = module.relative_to(ROOT)
    return inside.parts[0].removesuffix(".py")


def imported_names(source: str, package: tuple[str, ...]) -> set[str]:
    """Full names that a module in `package`, e.g. ("icl", "selectors"), imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            # "from icl import prompts" names the part after the import.
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found.update(names)
    return found


def imported_parts(source: str, package: tuple[str, ...]) -> set[str]:
    """The parts of icl among them."""
    found = set()
    for name in imported_names(source, package):
        head, _, rest = name.partition(".")
        if head == "icl":
            found.add(rest.split(".")[0] or "__init__")
    return found


def imports_of(module: Path) -> set[str]:
    package = ("icl", *module.relative_to(ROOT).parts[:-1])
    found = imported_parts(module.read_text(encoding="utf-8"), package)
    # "from icl import load_model": a name of the package itself, not a part of it.
    return {name if name in LEVEL or (ROOT / name).is_dir() else "__init__" for name in found}


def refusal(part: str, imported: str) -> str | None:
    """Why `part` may not import `imported`, or None when it may."""
    if part == imported:
        return None
    if LEVEL[imported] > LEVEL[part]:
        return f"{imported} is a layer above {part}"
    if part in SIBLINGS and imported in SIBLINGS:
        return f"{part} and {imported} are siblings"
    if part in SIBLINGS and imported in {"engine", "executors"}:
        return f"{part} sees the model through protocols, not the {imported}"
    return None


def test_every_part_has_its_layer() -> None:
    unplaced = {part_of(module) for module in MODULES} - set(LEVEL)
    assert not unplaced, f"give these a place in LAYERS: {sorted(unplaced)}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(module: Path) -> None:
    part = part_of(module)
    refused = {name: why for name in imports_of(module) if (why := refusal(part, name)) is not None}
    assert not refused, f"{module.relative_to(ROOT.parent)}: {'; '.join(sorted(refused.values()))}"


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """The parts of an import cycle, in order; [] where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_cycle_would_be_seen() -> None:
    assert set(cycle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def test_no_cycle_between_parts_of_one_layer() -> None:
    graph: dict[str, set[str]] = {name: set() for name in LEVEL}
    for module in MODULES:
        part = part_of(module)
        graph[part] |= imports_of(module) - {part}
    assert cycle_in(graph) == []


def modules_imported(module: Path) -> set[str]:
    """Dotted names of the modules of icl that a module imports."""
    package = ("icl", *module.relative_to(ROOT).parts[:-1])
    found = set()
    for name in imported_names(module.read_text(encoding="utf-8"), package):
        while name and name not in NAMES:
            name = name.rpartition(".")[0]
        if name:
            found.add(name)
    return found


def dotted(module: Path) -> str:
    """icl/engine/fake.py -> icl.engine.fake; a package's __init__ by the package's name."""
    parts = module.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(module): module for module in MODULES}


def test_no_cycle_between_modules() -> None:
    # a package's own __init__ is loaded before its modules whatever they name
    graph = {name: modules_imported(path) - {name} for name, path in NAMES.items()}
    assert cycle_in(graph) == []


def room_of(name: str) -> tuple[str, str] | None:
    """icl.engine.trie.plan -> (engine, trie); None outside the parts that have rooms."""
    _, *rest = name.split(".")
    if not rest or rest[0] not in ROOMS:
        return None
    return rest[0], rest[1] if len(rest) > 1 else "__init__"


@pytest.mark.parametrize("part", sorted(ROOMS))
def test_every_room_has_its_place(part: str) -> None:
    found = {room[1] for name in NAMES if (room := room_of(name)) is not None and room[0] == part}
    assert found == set().union(*ROOMS[part])


@pytest.mark.parametrize("part", sorted(ROOMS))
def test_rooms_import_one_way(part: str) -> None:
    level = {room: at for at, row in enumerate(ROOMS[part]) for room in row}
    wrong = []
    for name, path in NAMES.items():
        here = room_of(name)
        if here is None or here[0] != part:
            continue
        for imported in modules_imported(path):
            there = room_of(imported)
            if there is None or there[0] != part or there[1] == here[1]:
                continue
            if level[there[1]] >= level[here[1]]:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_a_family_is_a_method(family: str) -> None:
    """Each registers one component, or is named by a card of its own."""
    cards = {card.stem.removeprefix("cot_") for card in (ROOT.parent / "docs" / "methods").glob("*.md")}
    for module in (ROOT / family).glob("*.py"):
        registered = module.read_text(encoding="utf-8").count(".register(")
        if module.stem != "__init__" and registered == 0:
            assert module.stem in cards, f"{family}/{module.name} belongs in {family}/shared"
        assert registered <= 1


@pytest.mark.parametrize(
    ("part", "imported", "allowed"),
    [
        ("selectors", "encoders", True),
        ("selectors", "prompts", True),
        ("selectors", "orderers", False),
        ("cot", "methods", False),
        ("calibration", "engine", False),
        ("selectors", "executors", False),
        ("executors", "engine", True),
        ("executors", "experiments", False),
        ("tasks", "selectors", False),
        ("types", "tasks", False),
        ("experiments", "engine", True),
        ("leaderboard", "experiments", True),
        ("experiments", "leaderboard", False),
        ("engine", "cli", False),
    ],
)
def test_the_rule_itself(part: str, imported: str, allowed: bool) -> None:
    assert (refusal(part, imported) is None) == allowed


def test_every_form_of_import_is_seen() -> None:
    source = """
import icl.tasks.load
from icl import prompts
from icl.engine.fake import FakeModel
from ..orderers import random
from .exclusion import Candidates
import numpy
def late():
    from icl.cli import app
"""
    expected = {"tasks", "prompts", "engine", "orderers", "selectors", "cli"}
    assert imported_parts(source, ("icl", "selectors")) == expected
