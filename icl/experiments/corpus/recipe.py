"""The recipe file as validated objects: keys, types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from icl.errors import nearest, unknown_name
from icl.experiments.file.axes import Section, listed
from icl.experiments.file.config import Name, Seed, Source
from icl.experiments.file.kinds import read_kind
from icl.experiments.file.models import Plain, choices_of, parse_model
from icl.instructions.contract import row_generators
from icl.mixing import Group
from icl.tasks.leaks import LEAST, NGRAM
from icl.tasks.strict_yaml import validate
from icl.tasks.wording import as_written

SHORT = {"file": "path", "format": "task", "invert": "task", "heuristic": "path", "needs": "path"}
"""Generators that may be given one text: the parameter that it is."""
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rows = Annotated[int, Field(ge=1, strict=True)]


class Part(Section):
    """A source: one generator with its parameters, and what is said of its rows."""

    by: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")] = ""
    quality: Rate = 1.0
    cap: Rows | None = None
    group: str = ""
    licence: str = ""
    model: Plain | None = None
    """In place of the recipe's."""

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        common = [key for key in cls.model_fields if key not in ("by", "parameters")]
        if not isinstance(value, Mapping):
            raise ValueError(f"must be {{generator: {{parameters}}}}, not {as_written(value)}")
        if "by" in value:
            return value
        rest = {key: item for key, item in value.items() if key in common}
        given = [key for key in value if key not in common]
        if len(given) != 1:
            said = ", ".join(map(str, given)) or "none"
            raise ValueError(
                f"must name one generator, and it names {said}; allowed: {', '.join(row_generators)}, "
                f"beside {', '.join(common)}"
            )
        name = str(given[0])
        if name not in row_generators:
            near = nearest(name, common)
            beside = f" Beside the generator, did you mean {near!r}?" if near else ""
            raise ValueError(f"{unknown_name('generator', name, row_generators)}.{beside}")
        parameters = value[given[0]]
        if isinstance(parameters, str) and name in SHORT:
            parameters = {SHORT[name]: parameters}
        if parameters is not None and not isinstance(parameters, Mapping):
            raise ValueError(f"{name} is {as_written(parameters)}; allowed: {{parameter: value}}")
        return {**rest, "by": name, "parameters": dict(parameters or {})}

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        return None if value is None else only_one(value)

    @property
    def label(self) -> str:
        """Its name, or the generator with what it is of."""
        if self.name:
            return self.name
        of = self.parameters.get("task") or self.parameters.get("path")
        plain = "".join(c if c.isalnum() or c in "_.-" else "-" for c in Path(str(of)).name) if of else ""
        return f"{self.by}-{plain}".strip("-")[:60] if plain else self.by

    @property
    def plain(self) -> dict[str, Any]:
        """As a file has it."""
        given = self.model_dump(exclude={"by", "parameters"}, exclude_defaults=True, mode="json")
        return {self.by: self.parameters, **given}


def only_one(value: Any) -> Any:
    """A model as a file names it. ValueError for a list of several, and for what is none."""
    parsed = parse_model(value)
    if isinstance(parsed, tuple):
        raise ValueError("names several models; allowed: one")
    return parsed


class GroupFile(Section):
    """A sub-mixture."""

    weight: Rate = 1.0
    cap: Rows | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class Pretraining(Section):
    """A share of plain text, learned from its first token on."""

    file: Name
    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Iyer et al. 2022 (OPT-IML): about 5 %."""
    licence: str = ""


class MixFile(Section):
    """What is drawn from what, see `icl.mixing.rates`."""

    rows: Rows | None = None
    """Draws; None: as many as the parts have rows, each counted to its cap."""
    cap: Rows | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    groups: dict[str, GroupFile] = Field(default_factory=dict)
    pretraining: Pretraining | None = None

    @property
    def levels(self) -> dict[str, Group]:
        """For `rates`."""
        return {name: Group(one.weight, one.cap) for name, one in self.groups.items()}


class Recipe(Section):
    """One recipe file."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}$")]
    model: Plain | None = None
    """Asked by parts that name none of their own."""
    seed: Seed = 0
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    mix: MixFile | None = None
    """None: every row that was kept, once, in the order of the parts."""
    exclude_test_of: tuple[Name, ...] = ()
    """Tasks, task files and experiment files whose test sets no row may hold."""
    ngram: Annotated[int, Field(ge=LEAST, strict=True)] = NGRAM

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        return None if value is None else only_one(value)

    @field_validator("exclude_test_of", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return listed(value)

    @model_validator(mode="after")
    def _names(self) -> Recipe:
        labels = [part.label for part in self.parts]
        twice = next((label for at, label in enumerate(labels) if label in labels[:at]), None)
        if twice is not None:
            raise ValueError(f"two parts are called {twice!r}: give one of them a name")
        if self.mix is not None:
            known = {part.group or part.label for part in self.parts}
            for group in self.mix.groups:
                if group not in known:
                    raise ValueError(f"mix.groups: {unknown_name('group', group, known)}")
        return self

    def model_of(self, part: Part) -> Plain | None:
        """Whom a part asks."""
        return part.model if part.model is not None else self.model

    @property
    def resolved(self) -> dict[str, Any]:
        """Everything with its defaults, as plain data that reads back to an equal recipe."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        plain["parts"] = [part.plain for part in self.parts]
        return plain


def model_label(model: Plain) -> str:
    """The name of a model, as the leaderboard would say it."""
    (choice,) = choices_of(model)
    return choice.label


def read_recipe(source: str | Path | Mapping[str, Any]) -> tuple[Recipe, Source]:
    """A recipe from a file or a mapping. ConfigError naming file, line, key, value and what is allowed."""
    if isinstance(source, Mapping):
        return validate(Recipe, dict(source), {}, "recipe"), Source("recipe", Path(), {})
    path = Path(source)
    data, lines = read_kind(path, "parts")
    return validate(Recipe, data, lines, str(path)), Source(str(path), path.parent, lines)
