"""The JSON schema of experiment, task, recipe, study and red teaming files, for editors: from the models that
read them, and the names of components and their parameters.

An editor sees names, types and parameters; what needs the data or the grid as a whole is `icl check`'s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from icl.backends import BACKENDS
from icl.errors import ConfigError, unknown_name
from icl.executors.contract import executors
from icl.experiments.corpus.recipe import SHORT, Part, Recipe
from icl.experiments.file.baseline import REGISTRIES
from icl.experiments.file.config import Experiment
from icl.experiments.file.judging import Judging
from icl.experiments.file.models import ModelSettings
from icl.experiments.grid.cells import BASE
from icl.experiments.redteam.file import RedTeam
from icl.experiments.study.file import PRESET, StudyFile
from icl.instructions.contract import row_generators
from icl.judging import judges
from icl.mechanism.contract import studies
from icl.registry import Entry, Registry
from icl.tasks import TaskFile
from icl.tracking import trackers

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OUTSIDE = r"^[\w.]+:\w+$"
"""A class outside icl, `package.module:Class`; its parameters are not known here."""
Schema = dict[str, Any]


def schema(kind: str) -> Schema:
    """Of "experiment", "task", "recipe", "study", "redteam" or "judging" files, as plain data.

    ConfigError for another kind."""
    if kind not in KINDS:
        raise ConfigError(unknown_name("schema", kind, KINDS))
    return {"$schema": DIALECT, **_without_titles(KINDS[kind]())}


def _experiment() -> Schema:
    made = Experiment.model_json_schema()
    kinds = made["$defs"]
    for axis, registry in REGISTRIES.items():
        if axis not in kinds["Grid"]["properties"]:
            continue
        kinds[axis] = _component(registry, axis)
        default = Experiment.model_fields["grid"].annotation.model_fields[axis]  # type: ignore[union-attr]
        kinds["Grid"]["properties"][axis] = {"anyOf": [_of(axis), _list_of(axis)]}
        if not default.is_required():
            kinds["Grid"]["properties"][axis]["default"] = [item.label for item in default.default]
    kinds["model"] = _model()
    made["properties"]["track"] = {"anyOf": _named(trackers), "default": {}}
    made["properties"]["metric"] = {"anyOf": [_judge(), {"type": "null"}], "default": None}
    one = _named(executors, {"minProperties": 1, "maxProperties": 1})
    made["properties"]["executor"] = {"anyOf": [*one, {"const": "none"}, {"type": "null"}], "default": None}
    made["properties"]["model"] = {"anyOf": [_of("model"), _list_of("model")]}
    return made


def _recipe() -> Schema:
    """Parts are one generator with its parameters, beside what every part may say."""
    made = Recipe.model_json_schema()
    common = {
        key: value
        for key, value in made["$defs"]["Part"]["properties"].items()
        if key not in ("by", "parameters") and key in Part.model_fields
    }
    entries = {name: _parameters(row_generators.entry(name)) for name in row_generators}
    for name in SHORT.keys() & entries.keys():
        entries[name] = {"anyOf": [entries[name], {"type": "string", "description": SHORT[name]}]}
    common["model"] = made["properties"]["model"] = {"anyOf": [_of("model"), {"type": "null"}]}
    made["$defs"]["Part"] = {
        "type": "object",
        "properties": {**common, **entries},
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in sorted(entries)],
    }
    group = made["$defs"]["GroupFile"]
    made["$defs"]["GroupFile"] = {"anyOf": [{"type": "number", "minimum": 0}, group]}
    made["properties"]["exclude_test_of"]["anyOf"] = [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
    ]
    for key in ("type", "items"):
        made["properties"]["exclude_test_of"].pop(key, None)
    made["$defs"]["model"] = _model()
    return made


def _study() -> Schema:
    """One study with a preset and parameters."""
    made = StudyFile.model_json_schema()
    given = {}
    for name in studies:
        entry = studies.entry(name)
        presets = sorted(entry.factory.presets)  # type: ignore[attr-defined]
        known = _parameters(entry)
        given[name] = {**known, "properties": {PRESET: {"enum": presets}, **known["properties"]}}
        given[name].pop("required", None)  # a preset has them
    made["$defs"]["Component"] = {
        "anyOf": [
            {"enum": sorted(given)},
            {"type": "string", "pattern": OUTSIDE},
            {
                "type": "object",
                "properties": given,
                "patternProperties": {OUTSIDE: {"type": ["object", "null"]}},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
    made["properties"]["model"] = {"anyOf": [_of("model"), {"type": "null"}], "default": None}
    made["$defs"]["model"] = _model()
    return made


def _redteam() -> Schema:
    """The judge is one of rules."""
    made = RedTeam.model_json_schema()
    made["$defs"]["model"] = _model()
    made["properties"]["red"] = {"anyOf": [_of("model"), {"type": "null"}], "default": None}
    made["properties"]["target"] = _of("model")
    judge = _judge()["properties"]["judge"]
    made["properties"]["judge"] = {**judge, "properties": {"rules": judge["properties"]["rules"]}}
    stop = made["$defs"]["Answer"]["properties"]["stop"]
    stop["anyOf"] = [{"type": "string", "minLength": 1}, *stop["anyOf"]]
    return made


def _judging() -> Schema:
    """A judge without its model, and the models."""
    made = Judging.model_json_schema()
    made["$defs"] = {**made.get("$defs", {}), "model": _model()}
    made["properties"]["judge"] = {"anyOf": _named(judges, {"minProperties": 1, "maxProperties": 1})}
    made["properties"]["models"] = {"anyOf": [_of("model"), _list_of("model")]}
    made["$defs"].pop("Component", None)
    return made


def _of(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": _of(name), "minItems": 1}


def _named(registry: Registry[Any], size: Schema | None = None) -> list[Schema]:
    """A name, or a mapping of names to options. size: how many names it may hold."""
    given = {name: _parameters(registry.entry(name)) for name in registry}
    mapping = {"type": "object", "properties": given, "additionalProperties": False, **(size or {})}
    return [{"enum": sorted(given)}, mapping]


def _model() -> Schema:
    """A name, a name with settings of its own, or a backend with options."""
    own = ModelSettings.model_json_schema()
    backends = {name: _parameters(BACKENDS.entry(name)) for name in BACKENDS}
    return {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {
                "type": "object",
                "properties": backends,
                "additionalProperties": {"anyOf": [own, {"type": "null"}]},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }


def _judge() -> Schema:
    """{judge: {name: {model, its settings, parameters}}}."""
    own = {"model": _of("model"), **ModelSettings.model_json_schema()["properties"]}
    given = {}
    for name in judges:
        entry = _parameters(judges.entry(name))
        given[name] = {
            **entry,
            "type": "object",
            "properties": {**own, **entry["properties"]},
            "required": ["model"],
        }
    one = {"minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    named = {"type": "object", "properties": given, **one}
    return {"type": "object", "properties": {"judge": named}, **one}


def _component(registry: Registry[Any], axis: str) -> Schema:
    """A name of the registry with its parameters, or a class outside icl."""
    entries = [registry.entry(name) for name in registry]
    given = {entry.name: _parameters(entry) for entry in entries}
    names = [entry.name for entry in entries if not any(p.required for p in entry.parameters)]
    if axis == "tuning":
        names.append(BASE.name)
        given["saved"] = {"anyOf": [given["saved"], {"type": "string", "description": "The folder."}]}
    return {
        "anyOf": [
            {"enum": sorted(names)},
            {"type": "string", "pattern": OUTSIDE},
            {
                "type": "object",
                "properties": given,
                "patternProperties": {OUTSIDE: {"type": ["object", "null"]}},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }


def _parameters(entry: Entry[Any]) -> Schema:
    """Names are checked, values are not: `icl check` builds the component."""
    properties: dict[str, Schema] = {}
    for parameter in entry.parameters:
        properties[parameter.name.rstrip("_")] = _default(parameter.default)
    required = [p.name.rstrip("_") for p in entry.parameters if p.required]
    found: Schema = {
        "description": entry.summary,
        "type": ["object", "null"] if not required else "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**found, "required": required} if required else found


def _default(value: Any) -> Schema:
    plain = isinstance(value, str | int | float | bool) or value is None
    return {"default": value} if plain and value is not inspect.Parameter.empty else {}


def _without_titles(value: Any) -> Any:
    """A title says again what the key is called."""
    if isinstance(value, Mapping):
        return {
            key: _without_titles(item)
            for key, item in value.items()
            if not (key == "title" and isinstance(item, str))
        }
    return [_without_titles(item) for item in value] if isinstance(value, list) else value


KINDS: Mapping[str, Callable[[], Schema]] = {
    "experiment": _experiment,
    "task": TaskFile.model_json_schema,
    "recipe": _recipe,
    "study": _study,
    "redteam": _redteam,
    "judging": _judging,
}
"""Kinds of file that have a schema."""
