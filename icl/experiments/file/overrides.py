"""Values given beside the file: `--set grid.shots=[4,8]`, `--limit 20`.

They are checked like the file, and messages name the option in place of file and line. The run has a
name of its own, so that its folder is never that of the file alone.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from icl.errors import ConfigError
from icl.tasks.strict_yaml import KeyPath, Lines, read_value

NAME_LIMIT = 80
"""Characters of a run's name beyond which it is shortened."""
SHORT_NAMES = {"test": "limit"}
"""Keys by the option that says them."""
EXECUTOR = "executor"
"""Where a run is computed does not make it another run."""
NAMED = "*"
"""In a key below `executor`: whichever one the file names."""


@dataclass(frozen=True, slots=True)
class Override:
    """One key of the experiment file with another value; `option` is how it was said."""

    key: KeyPath
    value: Any
    option: str

    @property
    def dotted(self) -> str:
        """ "grid.shots"."""
        return ".".join(map(str, self.key))


def parse_set(text: str) -> Override:
    """`grid.shots=[4,8]`: a dotted key, and a value as YAML has it. Raises ConfigError."""
    dotted, equals, written = text.partition("=")
    parts = [part.strip() for part in dotted.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"--set {text!r}: write key=value, such as pool=100 or grid.shots=[4,8]")
    key = tuple(int(part) if part.isdecimal() else part for part in parts)
    option = f"--set {'.'.join(parts)}"
    return Override(key, read_value(written, option), option)


def overridden(
    data: dict[str, Any], lines: Lines, overrides: Sequence[Override]
) -> tuple[dict[str, Any], Lines]:
    """A copy of the file's mapping with the values in place, a name of its own, and where each key stands.

    Raises ConfigError for a key given twice and for one below a value that holds no keys.
    """
    data, lines = copy.deepcopy(data), dict(lines)
    seen: dict[KeyPath, str] = {}
    for given in overrides:
        item = _of_named_executor(given, data)
        if item.key in seen:
            raise ConfigError(f"{item.option}: {item.dotted} is given twice (also by {seen[item.key]})")
        seen[item.key] = item.option
        _put(data, item)
        below = [path for path in lines if path[: len(item.key)] == item.key]
        lines = {path: place for path, place in lines.items() if path not in below}
        lines[item.key] = item.option
    if ("name",) not in seen and isinstance(data.get("name"), str):
        data["name"] = run_name(data["name"], overrides)
    return data, lines


def _of_named_executor(item: Override, data: dict[str, Any]) -> Override:
    """An option of the executor that is named, with that name in its key. ConfigError where none is."""
    if item.key[:2] != (EXECUTOR, NAMED):
        return item
    named = data.get(EXECUTOR)
    if isinstance(named, str) and named not in ("", "none"):
        named = data[EXECUTOR] = {named: {}}
    if not isinstance(named, dict) or len(named) != 1:
        raise ConfigError(
            f"{item.option}: of which executor? The file names none; add --executor processes or ray"
        )
    ((name, options),) = named.items()
    named[name] = options or {}
    return Override((EXECUTOR, name, *item.key[2:]), item.value, item.option)


def _put(data: dict[str, Any], item: Override) -> None:
    at: Any = data
    for depth, part in enumerate(item.key[:-1]):
        if isinstance(at, dict):
            at = at.setdefault(part, {})
        else:
            at = at[_index(at, item, depth)]
    if isinstance(at, dict):
        at[item.key[-1]] = item.value
    else:
        at[_index(at, item, len(item.key) - 1)] = item.value


def _index(at: Any, item: Override, depth: int) -> int:
    """Where in a list the key at `depth` points."""
    above = ".".join(map(str, item.key[:depth]))
    part = item.key[depth]
    if not isinstance(at, list):
        raise ConfigError(f"{item.option}: {above} is {at!r} and holds no keys; set {above} itself")
    if not isinstance(part, int) or part >= len(at):
        raise ConfigError(
            f"{item.option}: {above} is a list of {len(at)}; give a number below {len(at)} in place of "
            f"{part!r}, or set {above} itself"
        )
    return part


def run_name(name: str, overrides: Sequence[Override]) -> str:
    """`quickstart--limit=20`: the same for the same values in any order, and a file name everywhere.

    What cannot stand in a file name, and what is too long, is replaced by a hash.
    """
    said = sorted((item.dotted, item.value) for item in overrides if item.key[0] != EXECUTOR)
    whole = "--".join([name, *(f"{SHORT_NAMES.get(key, key)}={_shown(value)}" for key, value in said)])
    plain = re.sub(r"[^A-Za-z0-9._=,-]+", "_", whole)
    if plain == whole and len(whole) <= NAME_LIMIT:
        return whole
    digest = hashlib.blake2b(json.dumps([name, said], default=str).encode(), digest_size=4).hexdigest()
    return f"{plain[:NAME_LIMIT].rstrip('_.,=-')}-{digest}"


def _shown(value: Any) -> str:
    """Lists of plain values with commas, 0,1; whatever might be read as another value as JSON."""
    if isinstance(value, list) and value and not any(isinstance(item, list | dict) for item in value):
        return ",".join(map(_shown, value))
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", value)
    return value if plain and value not in ("true", "false", "null") else json.dumps(value, default=str)
