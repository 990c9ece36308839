"""The axes of a grid in an experiment file: components by name, and which of their combinations run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from icl.experiments.records import UNTUNED
from icl.tasks.wording import as_written


def listed(value: Any) -> Any:
    """One item may be written without brackets."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Named = Annotated[dict[str, dict[str, Any] | None], Field(min_length=1, max_length=1)]
"""A name with its parameters, as a file has it."""


class Component(BaseModel):
    """A component by name with its parameters: `knn`, or `mmr: {lambda: 0.5}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, str) and value:
            return {"name": value}
        if isinstance(value, Mapping) and len(value) == 1:
            ((name, parameters),) = value.items()
            if isinstance(name, str) and (parameters is None or isinstance(parameters, Mapping)):
                return {"name": name, "parameters": dict(parameters or {})}
            raise ValueError(
                f"the parameters of {as_written(name)} must be a mapping {{key: value}}, not "
                f"{as_written(parameters)}"
            )
        several = isinstance(value, Mapping) and len(value) > 1
        hint = "; a list of components needs a dash or a comma between them" if several else ""
        raise ValueError(f"must be a name or {{name: {{parameters}}}}, not {as_written(value)}{hint}")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As a file has it."""
        return handler(TypeAdapter(str | Named).core_schema)

    @property
    def label(self) -> str:
        """ "mmr(lambda=0.5)"; parameters sorted, so that their order in the file does not matter."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{k}={self._value(k)}' for k in sorted(self.parameters))})"

    def _value(self, key: str) -> str:
        """What a regime adapts with is a component, and shown as one."""
        value = self.parameters[key]
        if key == "with" and isinstance(value, Mapping) and len(value) == 1:
            ((name, inner),) = value.items()
            if isinstance(name, str) and isinstance(inner, Mapping):
                return Component.model_validate(dict(value)).label
        return _shown(value)

    @property
    def plain(self) -> Any:
        """What stands in the resolved file."""
        return {self.name: self.parameters} if self.parameters else self.name


def _shown(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    )


def _saved(value: Any) -> Any:
    """{saved: folder} is short for {saved: {folder: folder}}."""
    return [
        {"saved": {"folder": item["saved"]}}
        if isinstance(item, Mapping) and len(item) == 1 and isinstance(item.get("saved"), str)
        else item
        for item in listed(value)
    ]


OneOrMore = Component | Annotated[list[Component], Field(min_length=1)]
Components = Annotated[
    tuple[Component, ...], BeforeValidator(listed, json_schema_input_type=OneOrMore), Field(min_length=1)
]
Tunings = Annotated[Components, BeforeValidator(_saved, json_schema_input_type=OneOrMore)]
Shots = Annotated[int, Field(ge=0, strict=True)]


def _named_judge(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(
            f"names a judge: {{judge: {{simpleqa: {{model: NAME}}}}}}, not {as_written(value)}; a metric "
            "without a model stands under leaderboard: {metric: NAME}"
        )
    inner = value.get("judge") if isinstance(value, Mapping) and set(value) == {"judge"} else None
    if not isinstance(inner, Mapping) or len(inner) != 1:
        raise ValueError(f"must be {{judge: {{name: {{model: NAME, ...}}}}}}, not {as_written(value)}")
    return value


NamedJudge = Annotated[dict[Literal["judge"], Named], BeforeValidator(_named_judge)]
"""{judge: {name: {model: ..., parameters}}}."""


class Section(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def label_of(value: Any) -> Any:
    """A component as the grid has it, or as the leaderboard has it."""
    return value if isinstance(value, str) and value else Component.model_validate(value).label


Label = Annotated[str, BeforeValidator(label_of, json_schema_input_type=Component)]


def _wanted(value: Any) -> Any:
    """Values of one axis that a pattern allows: one, or a list of some."""
    items = value if isinstance(value, list | tuple) and value else [value]
    return tuple(item if isinstance(item, int) else label_of(item) for item in items)


Value = Component | int
Wanted = Annotated[
    tuple[str | int, ...], BeforeValidator(_wanted, json_schema_input_type=Value | list[Value])
]


class Pattern(Section):
    """Cells that have these values; an axis that is not named may have any."""

    selector: Wanted | None = None
    shots: Wanted | None = None
    orderer: Wanted | None = None
    method: Wanted | None = None
    tuning: Wanted | None = None
    model: Wanted | None = None

    @property
    def named(self) -> dict[str, tuple[str | int, ...]]:
        """Axis -> labels, names or numbers."""
        return {axis: value for axis, value in self.model_dump().items() if value is not None}


class Grid(Section):
    """Lists whose product is the experiment; every one may also hold a single item.

    only: of the product, the cells that fit one of these patterns; all of it where there are none.
    """

    selector: Components
    shots: Annotated[
        tuple[Shots, ...],
        BeforeValidator(listed, json_schema_input_type=Shots | Annotated[list[Shots], Field(min_length=1)]),
        Field(min_length=1),
    ]
    orderer: Components = (Component.model_validate("as_selected"),)
    method: Components = (Component.model_validate("direct"),)
    tuning: Tunings = (Component.model_validate(UNTUNED),)
    only: Annotated[
        tuple[Pattern, ...], BeforeValidator(listed, json_schema_input_type=Pattern | list[Pattern])
    ] = ()

    @field_validator("selector", "shots", "orderer", "method", "tuning")
    @classmethod
    def _once(cls, items: tuple[Any, ...]) -> tuple[Any, ...]:
        refuse_twice([i.label if isinstance(i, Component) else i for i in items])
        return items


def refuse_twice(items: Any) -> None:
    """ValueError where an item is there twice."""
    seen: set[Any] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{as_written(item)} is given twice")
        seen.add(item)
