"""The task file: what it may say, checked before anything is read or loaded."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from icl.errors import ConfigError, nearest
from icl.prompts.answers.wording.languages import language
from icl.tasks.answer_rules import AnswerFile
from icl.tasks.rows import Format
from icl.tasks.transforms import TRANSFORMS, check_argument
from icl.types import LabelEnd, Task, TaskKind, Template

SplitName = Literal["train", "validation", "test"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
"""Of a task or a wording: it stands in names of files."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class FieldSpec(_Strict):
    """Where one field of an example comes from: a column and what is done to it, in order."""

    column: str | None = None
    columns: dict[str, str] | None = None
    """Choices only: letter -> the column that holds its text."""
    transforms: list[str | dict[str, Any]] = []
    optional: bool = False
    _steps: list[tuple[str, Any]] = PrivateAttr(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> FieldSpec:
        if (self.column is None) == (self.columns is None):
            raise ValueError("needs either 'column' or 'columns'")
        self._steps = [_step(step) for step in self.transforms]
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A column, or the mapping."""
        return {"anyOf": [{"type": "string"}, handler(core)]}

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """(transform, argument) in order; argument None where there is none."""
        return self._steps


def _step(step: str | dict[str, Any]) -> tuple[str, Any]:
    """One item of `transforms`, its argument as the transform takes it. ValueError where it is none."""
    if isinstance(step, dict) and len(step) != 1:
        raise ValueError(f"transform {step!r} must be a name or one name with its argument")
    name, argument = (step, None) if isinstance(step, str) else next(iter(step.items()))
    if name not in TRANSFORMS:
        guess = nearest(name, TRANSFORMS)
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise ValueError(f"unknown transform {name!r}.{hint} Allowed: {', '.join(TRANSFORMS)}")
    return name, check_argument(name, argument)


class Fields(_Strict):
    """Columns of the data -> inputs, target, choices and rationale of an example."""

    inputs: dict[str, FieldSpec] = {}
    target: FieldSpec | None = None
    choices: FieldSpec | None = None
    rationale: FieldSpec | None = None


class HubSource(_Strict):
    """A data set on the Hugging Face hub, or a local folder that `datasets` can read."""

    path: str
    name: str | None = None
    folder: str | None = None
    """Read this folder of the repository only: how a named configuration is reached at
    revision `refs/convert/parquet`, where the hub keeps its own Parquet copy of a scripted data set."""
    revision: str | None = None
    splits: dict[SplitName, str]


class GeneratorSource(_Strict):
    """A seeded generator of icl.tasks.generators; its own parameters stand beside the name."""

    model_config = ConfigDict(extra="allow", strict=True)
    name: str
    train: int = Field(1000, ge=1, le=100_000)
    test: int = Field(500, ge=1, le=100_000)
    seed: int = 0

    @property
    def parameters(self) -> dict[str, Any]:
        """What the generator itself takes."""
        return dict(self.model_extra or {})


class Source(_Strict):
    """Where the rows come from: exactly one of the first five."""

    hub: HubSource | None = None
    files: dict[SplitName, str | list[str]] | None = None
    """Each a file, a pattern, or a list of both."""
    generator: GeneratorSource | None = None
    bundled: str | None = None
    mirror: str | None = None
    """A folder below ICL_DATA, for data sets that no hub repository holds as plain files."""
    fields: Fields = Fields()
    key: str | None = None
    """JSON files: the key of the object that holds the rows."""
    quotes: Literal["csv", "plain"] | None = None
    """TSV files: whether a cell in double quotes is read as in CSV."""
    skip_bad_rows: bool = False
    """Leave out rows that cannot be read or do not fit, and count them."""

    @field_validator("files", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """In one sentence what pydantic would say of a file and of a list apart."""
        for split, given in value.items() if isinstance(value, dict) else ():
            names = given if isinstance(given, list) else [given]
            if not names or not all(isinstance(name, str) and name.strip() for name in names):
                raise ValueError(f"{split} is {given!r}: must be a file, a pattern, or a list of them")
        return value

    @model_validator(mode="after")
    def _check(self) -> Source:
        given = [kind for kind in SOURCES if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"must have exactly one of {', '.join(SOURCES)}; it has {', '.join(given) or 'none'}"
            )
        splits = self.hub.splits if self.hub is not None else self.files
        if splits is not None and "test" not in splits:
            raise ValueError(f"{given[0]} names no 'test' split")
        return self

    @property
    def form(self) -> Format:
        """What the files cannot say of themselves."""
        return Format(key=self.key, quotes=self.quotes)

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(kind for kind in SOURCES if getattr(self, kind) is not None)


SOURCES = ("hub", "files", "generator", "bundled", "mirror")


_DEFAULTS = Template(query="")


class TemplateFile(_Strict):
    """The pieces of icl.types.Template; what is left out takes the default there."""

    query: str
    answer: str = _DEFAULTS.answer
    rationale: str = _DEFAULTS.rationale
    closing: str = _DEFAULTS.closing
    separator: str = _DEFAULTS.separator
    channel_answer: str = ""
    channel_query: str = ""
    label_end: LabelEnd = _DEFAULTS.label_end


class WordingFile(_Strict):
    """Another way to write the same task: what it names takes the place of the template's piece."""

    query: str | None = None
    answer: str | None = None
    rationale: str | None = None
    closing: str | None = None
    separator: str | None = None
    channel_answer: str | None = None
    channel_query: str | None = None
    label_end: LabelEnd | None = None
    instruction: str | None = None


class TaskFile(_Strict):
    """One task file."""

    name: str = Field(pattern=NAME)
    kind: TaskKind
    inputs: list[str] = Field(min_length=1)
    labels: list[str] = []
    verbalisers: dict[str, str] = {}
    instruction: str = ""
    template: TemplateFile
    wordings: dict[str, WordingFile] = {}
    """Templates beside the first one, asked for as `name@wording`."""
    metric: str = "accuracy"
    language: str = "en"
    description: str = ""
    max_answer_tokens: int = Field(32, ge=1)
    answer: AnswerFile = AnswerFile()
    source: Source

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            language(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    def worded(self, wording: str) -> TaskFile:
        """The task written in one of its `wordings`; it is called `name@wording`.

        Raises ConfigError naming the nearest one.
        """
        if wording not in self.wordings:
            known = ", ".join(self.wordings) or "none"
            guess = nearest(wording, self.wordings)
            hint = f" Did you mean {guess!r}?" if guess else ""
            raise ConfigError(f"task {self.name!r} has no wording {wording!r}.{hint} It has: {known}")
        changed = self.wordings[wording].model_dump(exclude_none=True)
        instruction = changed.pop("instruction", self.instruction)
        template = self.template.model_copy(update=changed)
        name = f"{self.name}@{wording}"
        return self.model_copy(update={"name": name, "template": template, "instruction": instruction})

    @property
    def task(self) -> Task:
        """The noun, without the rows."""
        return Task(
            name=self.name,
            kind=self.kind,
            template=Template(**self.template.model_dump()),
            inputs=tuple(self.inputs),
            labels=tuple(self.labels),
            verbalisers=dict(self.verbalisers),
            instruction=self.instruction,
            metric=self.metric,
            language=self.language,
            description=self.description,
            max_answer_tokens=self.max_answer_tokens,
            reading=self.answer.rules,
            source=self.source.model_dump(exclude_none=True, exclude_defaults=True),
        )
