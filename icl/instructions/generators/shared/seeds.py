"""Seed tasks: what a model is shown when it is to come up with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError
from icl.instructions.contract import Place, digest_of, text_digest
from icl.tasks.readers.files import read_file
from icl.tasks.rows import Row

OWN = "icl"
"""The twenty seed tasks of the package, written for it."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One task by a human."""

    id: str
    instruction: str
    instances: tuple[tuple[str, str], ...]
    """(input, output); the input may be empty."""
    is_classification: bool = False
    constraints: str = "None."
    """Of the output space (Honovich et al. 2023)."""
    paraphrase: str = ""


def read_seeds(place: Place, name: str, *, least: int = 1) -> list[Seed]:
    """Those of the package, or of a file. ConfigError for fewer than `least`, DataError naming a bad line."""
    if name == OWN:
        with as_file(files("icl.instructions") / "data" / "seeds.jsonl") as path:
            found = _read(path)
    else:
        found = _read(place.there(name, "seeds"))
    if len(found) < least:
        raise ConfigError(f"seeds: {name!r} has {len(found)} tasks; at least {least} are shown at once")
    return found


def seeds_digest(place: Place, name: str) -> str:
    """Changes with the seeds."""
    if name != OWN:
        return digest_of(place, name)
    return text_digest(*(repr(seed) for seed in read_seeds(place, name)))


def _read(path: Path) -> list[Seed]:
    return [_seed(row) for row in read_file(path).rows]


def _seed(row: Row) -> Seed:
    values = row.values
    instruction = _text(row, values, "instruction")
    if not instruction.strip():
        raise DataError(f"{row.where}: instruction is empty")
    given: Any = values.get("instances")
    if given is None:
        given = [{"input": values.get("input", ""), "output": values.get("output")}]
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise DataError(f"{row.where}: instances is {str(given)[:60]!r}; allowed: a list of input and output")
    instances = []
    for at, one in enumerate(given):
        if not isinstance(one, Mapping) or "output" not in one:
            raise DataError(f"{row.where}: instances[{at}] has no output")
        instances.append((_text(row, one, "input"), _text(row, one, "output")))
    flag = values.get("is_classification", False)
    if not isinstance(flag, bool):
        raise DataError(f"{row.where}: is_classification is {flag!r}; allowed: true, false")
    return Seed(
        str(values.get("id", f"seed-{row.index + 1}")),
        instruction,
        tuple(instances),
        flag,
        _text(row, values, "constraints") or "None.",
        _text(row, values, "paraphrase"),
    )


def _text(row: Row, values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{row.where}: {key} is {str(value)[:60]!r}; allowed: a text")
    return value
