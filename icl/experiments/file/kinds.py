"""YAML files of one kind where another was meant, and files that are not there, as messages say it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, nearest
from icl.printable import shortened
from icl.tasks.strict_yaml import Lines, read_yaml

KINDS = {
    "grid": ("an experiment", "icl run"),
    "parts": ("a recipe", "icl data build"),
    "study": ("a study", "icl study"),
    "target": ("a red teaming", "icl redteam"),
    "rows": ("a judging", "icl judge"),
}
"""Key that a kind of file alone has -> what it is, and what runs it."""


def yaml_files(folder: Path) -> list[str]:
    """Names of those in a folder."""
    return [p.name for p in folder.glob("*.yaml")] if os.path.isdir(folder) else []


def missing(path: Path, what: str) -> ConfigError:
    """There is no such file; with the nearest one beside it."""
    near = nearest(path.name, yaml_files(path.parent))
    hint = f". Did you mean {str(path.with_name(near))!r}?" if near else ""
    return ConfigError(f"{shortened(str(path))}: no such {what} file{hint}")


def refuse_other(path: Path, data: Mapping[str, Any], key: str) -> None:
    """ConfigError where a file has no `key` and has that of another kind."""
    for other, (what, command) in KINDS.items():
        if other in data and key not in data:
            wanted = KINDS[key][0]
            raise ConfigError(f"{path}: is {what}, not {wanted}: {command} {path}")


def read_kind(path: Path, key: str) -> tuple[dict[str, Any], Lines]:
    """The mapping of a file of the kind that has `key`, and the lines of its keys. ConfigError."""
    what = KINDS[key][0].partition(" ")[2]
    if os.path.isdir(path):
        raise ConfigError(f"{path}: is a folder, not a {what} file")
    if not os.path.exists(path):
        raise missing(path, what)
    data, lines = read_yaml(path)
    refuse_other(path, data, key)
    return data, lines


def is_study(path: Path) -> bool:
    """Whether a YAML file is a study; False for what cannot be read, which its reader says."""
    try:
        return path.suffix in (".yaml", ".yml") and path.is_file() and "study" in read_yaml(path)[0]
    except ConfigError:
        return False
