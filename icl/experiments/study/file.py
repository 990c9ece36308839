"""The study file as validated objects: keys, types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from icl.experiments.file.axes import Component, Section
from icl.experiments.file.config import Seed, Source
from icl.experiments.file.kinds import read_kind
from icl.experiments.file.models import Plain, parse_model
from icl.tasks.strict_yaml import validate

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


def read_study(source: str | Path | Mapping[str, Any]) -> tuple[StudyFile, Source]:
    """A study from a file or a mapping. ConfigError naming file, line, key, value and what is allowed."""
    if isinstance(source, Mapping):
        return validate(StudyFile, dict(source), {}, "study"), Source("study", Path(), {})
    path = Path(source)
    data, lines = read_kind(path, "study")
    return validate(StudyFile, data, lines, str(path)), Source(str(path), path.parent, lines)
