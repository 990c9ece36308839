"""The experiment file as validated objects: keys, types and ranges.

What needs the components or the data (parameters of a selector, labels of a task) is checked in
`icl.experiments.grid.check`, after this and before any model loads.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from icl.errors import ConfigError
from icl.experiments.file.axes import (
    Component,
    Grid,
    Label,
    Named,
    NamedJudge,
    Section,
    Shots,
    listed,
    refuse_twice,
)
from icl.experiments.file.baseline import BaselineError, parse_baseline
from icl.experiments.file.kinds import missing, refuse_other, yaml_files
from icl.experiments.file.models import (
    Context,
    Dtype,
    Engine,
    ModelChoice,
    Plain,
    choices_of,
    parse_model,
    refuse_same,
)
from icl.experiments.file.overrides import Override, overridden
from icl.printable import shortened
from icl.tasks import TaskFile
from icl.tasks.sources import parted
from icl.tasks.strict_yaml import KeyPath, Lines, place_of, read_yaml, validate
from icl.tasks.wording import as_written
from icl.thinking import Markers, Marks, pairs_of

MOST_CELLS = 100_000


def _all_is_none(value: Any) -> Any:
    """`all` stands for every row there is. An empty value is not a size, and neither is another word."""
    if value is None or (isinstance(value, str | list | dict) and value != "all"):
        raise ValueError(f"must be an integer of at least 1, or all, not {as_written(value)}")
    return None if value == "all" else value


Seed = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Size = Annotated[Count | None, BeforeValidator(_all_is_none, json_schema_input_type=Count | Literal["all"])]
Name = Annotated[str, Field(strict=True)]


class PromptSettings(Section):
    """How prompts are written for the model."""

    chat: Literal[False, True, "turns", "single"] = False
    overflow: Literal["drop", "fail"] = "drop"


class CompareTo(Section):
    """The baseline: a selector by name, or a value for each of one or more components."""

    selector: Label | None = None
    shots: Shots | None = None
    orderer: Label | None = None
    method: Label | None = None
    tuning: Label | None = None
    model: Label | None = None

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, str) and value:
            try:
                named: dict[str, Any] = dict(parse_baseline(value))
            except BaselineError as error:
                raise ValueError(str(error)) from error
            if named.get("shots", "").isdigit():
                named["shots"] = int(named["shots"])
            return named
        if isinstance(value, Mapping) and value:
            return value
        raise ValueError(f"must be a selector or {{component: value}}, not {as_written(value)}")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A name, or the mapping."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core) | {"minProperties": 1}]}

    @property
    def named(self) -> dict[str, str | int]:
        """What is named: component -> label or name."""
        return {axis: value for axis, value in self.model_dump().items() if value is not None}

    @property
    def plain(self) -> Any:
        """What stands in the resolved file."""
        return self.selector if set(self.named) == {"selector"} else self.named


class LeaderboardSettings(Section):
    """How rows are judged; `metric` is each task's own when it is not given."""

    metric: str | None = None
    compare_to: CompareTo | None = None


class Experiment(Section):
    """One experiment file."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}$")]
    model: Plain | tuple[Plain, ...]
    dtype: Dtype | None = None
    engine: Engine = "trie"
    context_length: Context | None = None
    batch_invariant: Annotated[bool, Field(strict=True)] = False
    task: Annotated[
        tuple[Name, ...],
        BeforeValidator(listed, json_schema_input_type=Name | Annotated[list[Name], Field(min_length=1)]),
        Field(min_length=1),
    ]
    pool: Size = 512
    test: Size = 256
    seeds: Annotated[
        tuple[Seed, ...],
        BeforeValidator(listed, json_schema_input_type=Seed | Annotated[list[Seed], Field(min_length=1)]),
        Field(min_length=1),
    ] = (0,)
    encoder: Name = "minilm"
    grid: Grid
    prompt: PromptSettings = PromptSettings()
    think: Markers = ()
    """Marks of thinking blocks that the model writes, beside the known ones and those of its tasks."""
    duplicate_threshold: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    metric: NamedJudge | None = None
    """A judge by whose verdicts rows are ranked beside each task's own metric; see `file.judges`."""
    leaderboard: LeaderboardSettings = LeaderboardSettings()
    track: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Trackers by name, with their options."""
    executor: Component | None = None
    """Where requests run: nothing of a result depends on it. None: in the process of the run."""

    @field_validator("track", mode="before", json_schema_input_type=Name | dict[str, dict[str, Any] | None])
    @classmethod
    def _trackers(cls, value: Any) -> Any:
        if isinstance(value, str) and value:
            return {value: {}}
        if isinstance(value, Mapping) and all(o is None or isinstance(o, Mapping) for o in value.values()):
            return {name: dict(options or {}) for name, options in value.items()}
        raise ValueError(f"must be a tracker or {{tracker: {{option: value}}}}, not {as_written(value)}")

    @field_validator("executor", mode="before")
    @classmethod
    def _here(cls, value: Any) -> Any:
        return None if value == "none" else value

    @field_validator("model", mode="before", json_schema_input_type=Name | Named | list[Name | Named])
    @classmethod
    def _model(cls, value: Any) -> Any:
        return parse_model(value)

    @field_validator("think", mode="before", json_schema_input_type=Marks)
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return pairs_of(value)

    @field_validator("task", "seeds")
    @classmethod
    def _once(cls, items: tuple[Any, ...]) -> tuple[Any, ...]:
        refuse_twice(items)
        return items

    @model_validator(mode="after")
    def _bounded(self) -> Experiment:
        grid = self.grid
        axes = (
            self.models,
            self.task,
            self.seeds,
            grid.selector,
            grid.shots,
            grid.orderer,
            grid.method,
            grid.tuning,
        )
        cells = math.prod(map(len, axes))
        if cells > MOST_CELLS:
            raise ValueError(
                f"the grid has {cells:,} cells, tasks and seeds included; at most {MOST_CELLS:,} are run "
                "as one experiment"
            )
        try:
            refuse_same(self.models, self.dtype)
        except ValueError as error:
            raise ValueError(f"model: {error}") from error
        return self

    @property
    def models(self) -> tuple[ModelChoice, ...]:
        """The models in the order in which they are worked through."""
        return choices_of(self.model)

    @property
    def model_label(self) -> str:
        """The model's name on the leaderboard; those of several with commas."""
        return ", ".join(choice.label for choice in self.models)

    @property
    def choice(self) -> ModelChoice:
        """The only model of an experiment of `each`."""
        (only,) = self.models
        return only

    @property
    def each(self) -> tuple[Experiment, ...]:
        """An experiment a model, each with its settings in place of the common ones."""
        if isinstance(self.model, str | dict):
            return (self.model_copy(update=self.choice.settings),)
        return tuple(
            self.model_copy(update={"model": (plain,), **choice.settings})
            for plain, choice in zip(self.model, self.models, strict=True)
        )

    def of(self, label: str) -> Experiment:
        """That of one model. KeyError for a label that it does not have."""
        return {one.model_label: one for one in self.each}[label]

    @property
    def resolved(self) -> dict[str, Any]:
        """Everything with its defaults, as plain data that reads back to an equal experiment."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        for axis in ("selector", "orderer", "method", "tuning"):
            plain["grid"][axis] = [item.plain for item in getattr(self.grid, axis)]
        plain["executor"] = None if self.executor is None else self.executor.plain
        plain["grid"]["only"] = [
            {axis: list(values) for axis, values in pattern.named.items()} for pattern in self.grid.only
        ]
        for size in ("pool", "test"):
            plain[size] = "all" if plain[size] is None else plain[size]
        if self.leaderboard.compare_to is not None:
            plain["leaderboard"]["compare_to"] = self.leaderboard.compare_to.plain
        return plain


@dataclass(frozen=True, slots=True)
class Source:
    """Where an experiment was written down, for messages and for relative paths."""

    name: str
    folder: Path
    lines: Lines
    overrides: tuple[Override, ...] = ()
    """What took the place of the file's values."""

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """A ConfigError that starts with file, line and key."""
        key = ".".join(shortened(str(part), 60) for part in path)
        return ConfigError(f"{self.where(path)}: {key}: {message}")

    def where(self, path: KeyPath) -> str:
        """File and line of a key, or the option that gave it; the name alone where neither did."""
        return place_of(self.name, self.lines, path)

    def task_path(self, name: str) -> str:
        """A task file is found beside the experiment file first, then from the current folder."""
        file, wording = parted(name)
        is_file = file.endswith((".yaml", ".yml")) or "/" in file
        beside = self.folder / file
        if not is_file or not os.path.isfile(beside):
            return name
        return str(beside) if wording is None else f"{beside}@{wording}"


def read_experiment(
    source: str | Path | Mapping[str, Any] | Experiment, overrides: Sequence[Override] = ()
) -> tuple[Experiment, Source]:
    """An experiment from a file, a mapping, or as it is; `overrides` take the place of its values.

    Raises ConfigError naming file, line, key, value, what is allowed and the nearest name.
    """
    if isinstance(source, Experiment):
        name = f"experiment {source.name!r}"
        if not overrides:
            return source, Source(name, Path(), {})
        return validated(name, Path(), source.resolved, {}, overrides)
    if isinstance(source, Mapping):
        try:
            # A copy by JSON: tuples become lists, as a file would have them.
            return validated("experiment", Path(), json.loads(json.dumps(source)), {}, overrides)
        except TypeError as error:
            raise ConfigError(f"experiment: not plain data: {error}") from error
    path = Path(source)
    if os.path.isdir(path):
        raise ConfigError(f"{path}: is a folder, not an experiment file{_inside(path)}")
    if not os.path.exists(path):
        raise missing(path, "experiment")
    data, lines = read_yaml(path)
    refuse_other(path, data, "grid")
    if is_task(data):
        raise ConfigError(
            f"{path}: is a task file, not an experiment: name it under task: in an experiment file, or look "
            f"at it with icl check {path} and icl preview {path}"
        )
    return validated(str(path), path.parent, data, lines, overrides)


def is_task(data: Mapping[str, Any]) -> bool:
    """Whether a file has more keys of a task than of an experiment."""
    task, experiment = set(TaskFile.model_fields), set(Experiment.model_fields)
    return len(data.keys() & task) > len(data.keys() & experiment)


def is_experiment(path: Path) -> bool:
    """Whether a YAML file has a grid. ConfigError where it cannot be read."""
    return "grid" in read_yaml(path)[0]


def _inside(folder: Path) -> str:
    """A hint to what a folder holds: the experiment of a run, or files to choose from."""
    names = yaml_files(folder)
    return f"; it holds {', '.join(sorted(names)[:5])}" if names else ""


def validated(
    name: str, folder: Path, data: dict[str, Any], lines: Lines, overrides: Sequence[Override]
) -> tuple[Experiment, Source]:
    """Plain data as an experiment; `lines` say where its keys stand, `folder` where paths begin."""
    if overrides:
        data, lines = overridden(data, lines, overrides)
    return validate(Experiment, data, lines, name), Source(name, folder, lines, tuple(overrides))
