"""The `model:` of an experiment: one, or a list of them that are worked through one after another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from icl.backends import BACKENDS, essential
from icl.errors import unknown_name
from icl.experiments.file.axes import Component, Section
from icl.tasks.wording import as_written

Dtype = Literal["float32", "bfloat16", "float16"]
Engine = Literal["trie", "naive"]
Context = Annotated[int, Field(ge=8, strict=True)]
Plain = str | dict[str, dict[str, Any]]
"""A model as it stands in the file."""


class ModelSettings(Section):
    """What a model may have of its own; what it does not give is the experiment's."""

    dtype: Dtype | None = None
    engine: Engine | None = None
    context_length: Context | None = None
    batch_invariant: Annotated[bool, Field(strict=True)] | None = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One of the models of an experiment."""

    name: str
    """An alias, a path, a hub id; or a backend."""
    options: Mapping[str, Any]
    is_backend: bool
    label: str
    """Its name on the leaderboard."""

    @property
    def settings(self) -> dict[str, Any]:
        """Keys of the experiment that it gives a value of its own."""
        return {} if self.is_backend else dict(self.options)


def parse_model(value: Any) -> Plain | tuple[Plain, ...]:
    """One model or a list, in one spelling. ValueError for what is none, in words that name the place."""
    if not isinstance(value, list | tuple):
        return _one(value, "")
    if not value:
        raise ValueError("the list is empty: it must hold at least one model")
    return tuple(_one(item, f"item {at}: ") for at, item in enumerate(value))


def _one(value: Any, where: str) -> Plain:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, options),) = value.items()
        if isinstance(name, str) and name and (options is None or isinstance(options, Mapping)):
            given = dict(options or {})
            if name not in BACKENDS:
                _check_settings(given, name, where)
                given = {key: setting for key, setting in given.items() if setting is not None}
            return {name: given}
    raise ValueError(
        f"{where}must be an alias, a path, a hub id, {{model: {{dtype: ...}}}} or {{backend: {{options}}}}, "
        f"not {as_written(value)}"
    )


def _check_settings(given: Mapping[str, Any], name: str, where: str) -> None:
    """ValueError for a setting that no model has, and for a value that it cannot have."""
    for key in given:
        if key not in ModelSettings.model_fields:
            raise ValueError(
                f"{where}{unknown_name(f'setting of {name!r}', str(key), ModelSettings.model_fields)}; "
                f"or a backend with options: {', '.join(BACKENDS)}"
            )
    try:
        ModelSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        expected = first.get("ctx", {}).get("expected")
        rule = f"allowed: {expected.replace(chr(39), '')}" if expected else first["msg"]
        raise ValueError(f"{where}{key} of {name!r} is {as_written(given[key])}; {rule}") from error


def choices_of(model: Plain | Sequence[Plain]) -> tuple[ModelChoice, ...]:
    """The models in the order of the file. A backend that stands alone is called as it was before there were
    lists, so that folders of that time go on."""
    if not isinstance(model, str | Mapping):
        return tuple(_choice(item, _label(item)) for item in model)
    ((name, options),) = ((model, {}),) if isinstance(model, str) else model.items()
    alone = f"{name}:{options['model']}" if "model" in options else name
    return (_choice(model, alone if name in BACKENDS else _label(model)),)


def _label(model: Plain) -> str:
    """How a backend is asked is no part of its name."""
    if not isinstance(model, str):
        ((name, options),) = model.items()
        model = {name: essential(name, options)} if name in BACKENDS else model
    return Component.model_validate(model).label


def _choice(model: Plain, label: str) -> ModelChoice:
    if isinstance(model, str):
        return ModelChoice(model, {}, False, label)
    ((name, options),) = model.items()
    return ModelChoice(name, options, name in BACKENDS, label)


def refuse_same(choices: Sequence[ModelChoice], dtype: str | None) -> None:
    """ValueError where a model is there twice; where its precisions might turn out to be one, it asks for
    them to be said. dtype: the experiment's."""
    met: dict[str, ModelChoice] = {}
    for choice in choices:
        own = {"dtype": dtype, **choice.settings} if not choice.is_backend else dict(choice.options)
        key = json.dumps([choice.name, choice.is_backend, own], sort_keys=True, default=str)
        if key in met or any(choice.label == other.label for other in met.values()):
            other = "; where one name is two models, give each an identity" if choice.is_backend else ""
            raise ValueError(f"{choice.label!r} is given twice{other}")
        met[key] = choice
        alike = [c for c in met.values() if c.name == choice.name and not c.is_backend]
        if len(alike) > 1 and not all(c.settings.get("dtype", dtype) for c in alike):
            raise ValueError(
                f"{choice.name!r} is given {len(alike)} times, once without a dtype, which then depends on "
                f"the device: give each its own, {{{choice.name}: {{dtype: float32}}}}"
            )
