"""YAML that remembers on which line every key stands, so that an error can name it.

What YAML may hold here stands in `icl.tasks.yaml_loader`; a key given twice is an error.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from icl.errors import ConfigError, nearest, one_or_several
from icl.printable import shortened
from icl.tasks.wording import keys_at, message
from icl.tasks.yaml_loader import LONGEST_FILE, Loader, check_bounds

KeyPath: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[KeyPath, int | str]
"""Where a key stands: its line in the file (1-based), or in words what took its place, "--set grid.shots"."""
M = TypeVar("M", bound=BaseModel)


def _collect_lines(node: yaml.Node, path: KeyPath, lines: Lines, name: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue  # the loader refuses it
            if key.value in seen:
                shown = shortened(repr(key.value))
                raise ConfigError(
                    f"{name}:{line}: key {shown} is given twice (first on line {seen[key.value]})"
                )
            seen[key.value] = line
            lines[(*path, key.value)] = line
            _collect_lines(value, (*path, key.value), lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*path, index), lines, name)


def _construct(text: str, name: str) -> tuple[Any, Lines]:
    """What a text of YAML says, and the lines of its keys. ConfigError where it is none."""
    lines: Lines = {}
    try:
        check_bounds(text)
        loader = Loader(text)
        node = loader.get_single_node()  # type: ignore[no-untyped-call]
        if node is not None:
            _collect_lines(node, (), lines, name)
        return None if node is None else loader.construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{name}{line}: not valid YAML: {_problem(error)}") from error


def _problem(error: yaml.YAMLError) -> str:
    """What PyYAML says, in words that fit what was most likely meant."""
    problem = str(getattr(error, "problem", None) or error)
    if "could not determine a constructor for the tag" in problem:
        tag = problem.rpartition("tag ")[2].strip("'").replace("tag:yaml.org,2002:", "!!")
        return f"the type {tag} is not allowed; allowed: texts, numbers, true, false, null, lists, mappings"
    if "mapping values are not allowed here" in problem:
        return f"{problem} (a text with a colon in it needs quotes; or the line stands too far right)"
    return problem


def read_value(text: str, name: str) -> Any:
    """One value as a file would have it, `[4, 8]`; `name` stands in front of what is wrong with it."""
    return _construct(text, name)[0]


def read_yaml(path: FilePath) -> tuple[dict[str, Any], Lines]:
    """The file's mapping and the line of every key path in it (1-based).

    Raises ConfigError when the file is missing, is not YAML, or is not a mapping.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(LONGEST_FILE + 1)  # whatever it is: /dev/zero has no end
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # no UTF-8; or no name of a file, with a null character in it
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    data, lines = _construct(text, str(path))
    if data is None:
        raise ConfigError(f"{path}: the file is empty; it must hold a mapping of keys to values")
    if not isinstance(data, dict):
        what = "a list" if isinstance(data, list) else shortened(repr(data))
        raise ConfigError(f"{path}: must hold a mapping of keys to values, not {what}")
    return data, lines


def place_of(name: str, lines: Lines, path: KeyPath) -> str:
    """File and line of the key path, or of its nearest parent that is in the file; what took its place
    where it was given elsewhere; `name` alone where nothing is known."""
    while path and path not in lines:
        path = path[:-1]
    place = lines.get(path)
    return place if isinstance(place, str) else f"{name}:{place}" if place else name


def validate(model: type[M], data: dict[str, Any], lines: Lines, name: str) -> M:
    """`data` as a `model`; what is wrong becomes a ConfigError, or `Problems` where several things are.

    A message names file, line, key, value, what is allowed and, for an unknown key, the nearest.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise one_or_several([ConfigError(line) for line in _messages(model, error, lines, name)]) from error


def _messages(model: type[BaseModel], error: ValidationError, lines: Lines, name: str) -> list[str]:
    """One a problem, unknown keys first: one of them is most often the cause of a missing key, which
    is then left out."""
    found: dict[tuple[str, ...], str] = {}
    meant = set()
    for problem in sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden"):
        location = tuple(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            meant.add((*location[:-1], nearest(location[-1], keys_at(model, problem["loc"][:-1]))))
        elif problem["type"] == "missing" and location in meant:
            continue
        where = place_of(name, lines, tuple(problem["loc"]))
        found.setdefault(location[:3], message(model, problem, where))
    return list(found.values())
