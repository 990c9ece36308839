"""The file of a judging as validated objects: rows, a judge, and the models that it asks in turn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from icl.errors import ConfigError
from icl.experiments.file.axes import Component, Section
from icl.experiments.file.config import Name, Source
from icl.experiments.file.judges import OF_THE_MODEL, JudgeChoice, judge_choice
from icl.experiments.file.kinds import read_kind
from icl.experiments.file.models import Plain, parse_model
from icl.tasks.strict_yaml import validate


class Judging(Section):
    """One file."""

    rows: Name
    """A file of answers, from the folder of this one or the current one; or a bundled set."""
    judge: Component
    """Without its model."""
    models: Annotated[tuple[Plain, ...], Field(min_length=1)]
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Of the models that say none."""
    language: Literal["en", "zh"] = "en"
    """Of rows that say none."""
    limit: Annotated[int, Field(ge=1, strict=True)] | None = None
    """The first rows only."""

    @field_validator("judge")
    @classmethod
    def _no_model(cls, value: Component) -> Component:
        for key in OF_THE_MODEL:
            if key in value.parameters:
                raise ValueError(
                    f"{value.name} is asked of each of models: {key} belongs there, or beside it"
                )
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        found = parse_model(value)
        return found if isinstance(found, tuple) else (found,)


def read_judging(source: str | Path | Mapping[str, Any]) -> tuple[Judging, Source]:
    """From a file or a mapping. ConfigError naming file, line, key, value and what is allowed."""
    if isinstance(source, Mapping):
        return validate(Judging, dict(source), {}, "judging"), Source("judging", Path(), {})
    path = Path(source)
    data, lines = read_kind(path, "rows")
    return validate(Judging, data, lines, str(path)), Source(str(path), path.parent, lines)


def rows_of(judging: Judging, source: Source) -> str:
    """Where its rows are."""
    beside = source.folder / judging.rows
    return str(beside) if os.path.isfile(beside) else judging.rows


def choices_of(judging: Judging, source: Source) -> list[JudgeChoice]:
    """The judge once a model, in the order of the file. ConfigError with the file's line."""
    found = []
    for at, model in enumerate(judging.models):
        plain = model if isinstance(model, str) else dict(model)
        of_a_name = isinstance(plain, str) and judging.dtype is not None
        told = {"model": plain, **({"dtype": judging.dtype} if of_a_name else {})}
        try:
            value = {judging.judge.name: {**judging.judge.parameters, **told}}
            found.append(judge_choice(value, source.folder))
        except ConfigError as error:
            raise source.error(("models", at), str(error)) from error
    return found
