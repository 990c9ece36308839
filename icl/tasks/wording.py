"""What is wrong with a key, in words: from a problem that pydantic found to one line.

The line says the key, its value as the file has it, what is allowed, and the nearest name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from icl.errors import nearest
from icl.printable import shortened

_UNION = re.compile(r"(str|int|float|bool|dict|list|tuple|function|nullable|constrained|lax|json)\b.*")
"""Ends of a location that name a branch of a type, and no key."""


def message(model: type[BaseModel], problem: Any, where: str) -> str:
    """One line that begins with `where` for a problem of `ValidationError.errors()`."""
    location = tuple(problem["loc"])
    kind = problem["type"]
    if location and location[-1] == "[key]":
        return f"{where}: {_unknown('.'.join(map(str, location[:-1])), location[-2], _allowed(problem))}"
    if kind not in ("extra_forbidden", "missing"):
        location = _without_branches(location)
    key = ".".join(map(str, location)) or "(top level)"
    if kind == "extra_forbidden":
        allowed = keys_at(model, location[:-1])
        return f"{where}: {_unknown(key, location[-1], allowed, _elsewhere(model, location))}"
    if kind == "missing":
        return f"{where}: the key {key!r} is missing"
    if kind == "value_error":
        text = problem["msg"].removeprefix("Value error, ")
        return f"{where}: {key + ': ' if location else ''}{text}"
    if kind == "too_short" and not problem["ctx"]["actual_length"]:
        return f"{where}: {key} is empty"
    return f"{where}: {key} is {as_written(problem['input'])}: {_rule(problem)}"


def _rule(problem: Any) -> str:
    """What is allowed there."""
    kind, text, value = problem["type"], problem["msg"], problem["input"]
    if kind == "string_type":
        return "must be a text" + ("" if isinstance(value, list | dict | None) else " (write it in quotes)")
    if kind in ("int_type", "int_parsing", "int_from_float"):
        return "must be an integer"
    if kind in ("model_type", "dict_type", "mapping_type", "model_attributes_type"):
        return "must be a mapping {key: value}"
    if kind in ("list_type", "tuple_type"):
        return "must be a list [item, item]"
    if kind == "string_pattern_mismatch":
        return (
            "must begin with a letter or digit, have at most 100 characters, and hold only letters, digits "
            f"and {_signs(problem['ctx']['pattern'])}"
        )
    if kind == "literal_error":
        guess = nearest(value, _allowed(problem)) if isinstance(value, str) else None
        hint = f". Did you mean {guess!r}?" if guess else ""
        allowed = re.sub(r"\b(True|False)\b", lambda word: word[0].lower(), problem["ctx"]["expected"])
        return f"must be {allowed}{hint}"
    text = re.sub(r"^(Input|String|Value|List) should ", "must ", text)
    return f"{text[0].lower()}{text[1:]}"


def _signs(pattern: str) -> str:
    """The signs of the last class of a pattern: ". _ -"."""
    inside = pattern.rpartition("[")[2].partition("]")[0]
    return " ".join(re.sub(r"A-Z|a-z|0-9", "", inside))


def _unknown(key: str, last: object, allowed: Sequence[str], places: Sequence[str] = ()) -> str:
    guess = nearest(str(last), allowed)
    hint = f" Did you mean {guess!r}?" if guess and not places else ""
    if places:
        hint = f" It belongs {places[0]}."
    return f"unknown key {shortened(repr(key))}.{hint} Allowed: {', '.join(allowed)}"


def _allowed(problem: Any) -> list[str]:
    """Values that a Literal lists."""
    return re.findall(r"'([^']*)'", problem.get("ctx", {}).get("expected", ""))


def _without_branches(location: tuple[Any, ...]) -> tuple[Any, ...]:
    while location and isinstance(location[-1], str) and _UNION.fullmatch(location[-1]):
        location = location[:-1]
    return location


def as_written(value: Any) -> str:
    """A value as the file has it: YAML's words for Python's, and not the whole of a long one."""
    words = {True: "true", False: "false", None: "empty"}
    plain = value is None or isinstance(value, bool)
    return words[value] if plain else shortened(repr(value))


def _elsewhere(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Where else in the file a key of this very name may stand: "under 'grid'", "at the top level"."""
    above = tuple(str(part) for part in location[:-1])
    places = [path for path, key in _all_keys(model, ()) if key == str(location[-1]) and path != above]
    return [f"under {'.'.join(path)!r}" if path else "at the top level" for path in places]


def _all_keys(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, field in model.model_fields.items():
        yield path, field.alias or name
        inner = _model_in(field.annotation)
        if inner is not None and inner.__name__ != "Component":
            yield from _all_keys(inner, (*path, field.alias or name))


def keys_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Keys that the model at `path` below `model` allows, in the order of their definition."""
    current: type[BaseModel] = model
    for part in path:
        field = current.model_fields.get(str(part))
        inner = None if field is None else _model_in(field.annotation)
        current = inner or current
    return [f.alias or key for key, f in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
