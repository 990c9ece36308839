"""The study file as validated objects: keys, types and ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from icl.errors import ConfigError
from icl.experiments.file.axes import Component, Section
from icl.experiments.file.config import Seed, Source
from icl.experiments.file.kinds import read_kind
from icl.experiments.file.models import Plain, parse_model
from icl.experiments.file.overrides import Override, overridden
from icl.tasks.strict_yaml import Lines, validate

STUDY = "study"
PRESET = "preset"
"""Key beside a study's parameters."""
DEFAULT_PRESET = "quick"


class StudyFile(Section):
    """One study file."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}$")]
    study: Component
    """Its name with parameters, which take the place of those of its preset."""
    model: Plain | None = None
    """Of studies that look at one."""
    seed: Seed = 0

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        parsed = None if value is None else parse_model(value)
        if isinstance(parsed, tuple):
            raise ValueError("names several models; allowed: one a study")
        return parsed

    @property
    def preset(self) -> Any:
        """As the file says it."""
        return self.study.parameters.get(PRESET, DEFAULT_PRESET)

    @property
    def given(self) -> dict[str, Any]:
        """Parameters that the file itself gives."""
        return {key: value for key, value in self.study.parameters.items() if key != PRESET}


def read_study(
    source: str | Path | Mapping[str, Any], overrides: Sequence[Override] = ()
) -> tuple[StudyFile, Source]:
    """A study from a file or a mapping; `overrides` take the place of its values, and a key that no file has
    is a parameter of the study. ConfigError naming file, line or option, key, value and what is allowed."""
    name, folder = (STUDY, Path()) if isinstance(source, Mapping) else (str(source), Path(source).parent)
    data: dict[str, Any]
    lines: Lines
    data, lines = (dict(source), {}) if isinstance(source, Mapping) else read_kind(Path(source), STUDY)
    given = tuple(_placed(one, data) for one in overrides)
    if given:
        data, lines = overridden(_with_room(data), lines, given)
    return validate(StudyFile, data, lines, name), Source(name, folder, lines, given)


def _placed(one: Override, data: Mapping[str, Any]) -> Override:
    """A parameter of the study, where the file has it."""
    if one.key[0] in StudyFile.model_fields:
        return one
    named = data.get(STUDY)
    name = next(iter(named), None) if isinstance(named, Mapping) else named
    if not isinstance(name, str):
        raise ConfigError(f"{one.option}: of which study? The file names none")
    return Override((STUDY, name, *one.key), one.value, one.option)


def _with_room(data: dict[str, Any]) -> dict[str, Any]:
    """`study: NAME` as a mapping that holds parameters."""
    named = data.get(STUDY)
    if isinstance(named, str):
        return {**data, STUDY: {named: {}}}
    if isinstance(named, Mapping) and len(named) == 1:
        return {**data, STUDY: {name: dict(given or {}) for name, given in named.items()}}
    return data
