"""The task file: what it may say, checked before anything is read or loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from icl.errors import ConfigError, nearest
from icl.prompts.answers.formats.label import rendered, squeeze
from icl.prompts.answers.wording.languages import language
from icl.prompts.template import check_template, check_templates
from icl.protocols import metrics
from icl.tasks.answer_rules import AnswerFile
from icl.tasks.generators.base import generators
from icl.tasks.rows import Format
from icl.tasks.strict_yaml import KeyPath, Lines, place_of, read_yaml, validate
from icl.tasks.transforms import TRANSFORMS, check_argument
from icl.types import LabelEnd, Task, TaskKind, Template

LABELLED: frozenset[TaskKind] = frozenset({"classification", "boolean"})
RESERVED = frozenset({"choices", "answer", "rationale"})
TASK_SIGNS = frozenset({"kind", "inputs", "template", "source", "labels", "verbalisers"})
"""Keys by which a file is known to be one of a task, as `grid` makes one an experiment."""
SplitName = Literal["train", "validation", "test"]


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

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
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


def read_task_file(path: Path) -> TaskFile:
    """The checked task file. Raises ConfigError naming file, line, key and what is allowed."""
    return read_with_lines(path)[0]


def read_with_lines(path: Path) -> tuple[TaskFile, Lines]:
    """The checked task file and the lines of its keys."""
    data, lines = read_yaml(path)
    if "grid" in data and not TASK_SIGNS & set(data):
        raise ConfigError(f"{path}:1: is an experiment file, not a task file; run it: icl run {path}")
    file = validate(TaskFile, data, lines, str(path))
    _check_metric(file, lines, path)
    _check_labels(file, lines, path)
    _check_template(file, lines, path)
    _check_blocks(file, lines, path)
    _check_fields(file, lines, path)
    return file, lines


def _fail(path: Path, lines: Lines, key: tuple[str | int, ...], message: str) -> None:
    raise ConfigError(f"{place_of(str(path), lines, key)}: {'.'.join(map(str, key))}: {message}")


def _suggest(name: str, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    guess = nearest(name, allowed)
    return (f" Did you mean {guess!r}?" if guess else "") + f" Allowed: {', '.join(allowed) or 'none'}"


def _check_metric(file: TaskFile, lines: Lines, path: Path) -> None:
    try:
        metrics.create(file.metric)
    except ConfigError as error:
        _fail(path, lines, ("metric",), str(error))


def _check_labels(file: TaskFile, lines: Lines, path: Path) -> None:
    if file.kind in LABELLED and len(file.labels) < 2:
        _fail(
            path,
            lines,
            ("labels",),
            f"a {file.kind} task needs at least two labels, it has {len(file.labels)}",
        )
    if file.kind not in LABELLED and file.labels:
        _fail(
            path,
            lines,
            ("labels",),
            f"a {file.kind} task has no labels; only classification and boolean have",
        )
    for index, label in enumerate(file.labels):
        if not label.strip():
            _fail(path, lines, ("labels", index), f"{label!r} is no label")
        if label.strip() in [other.strip() for other in file.labels[:index]]:
            _fail(path, lines, ("labels", index), f"{label!r} is given twice")
    for label in file.verbalisers:
        if label not in file.labels:
            _fail(path, lines, ("verbalisers", label), f"not a label.{_suggest(label, file.labels)}")
    taken: dict[str, str] = {}
    for label in file.labels:
        words = file.verbalisers.get(label, label)
        other = taken.get(squeeze(words))
        if other is not None:
            named = next((one for one in (label, other) if one in file.verbalisers), None)
            key: KeyPath = ("labels",) if named is None else ("verbalisers", named)
            _fail(path, lines, key, f"{words!r} stands for {other!r} already, as a text is read")
        taken[squeeze(words)] = label
    for name in file.inputs:
        if name in RESERVED or not name.isidentifier():
            reserved = ", ".join(sorted(RESERVED))
            message = f"{name!r} cannot name an input: it must be an identifier other than {reserved}"
            _fail(path, lines, ("inputs",), message)


def _check_template(file: TaskFile, lines: Lines, path: Path) -> None:
    """Every variable of every piece exists there; the query cannot give its own answer away."""
    _check_pieces(file, lines, path, ("template",))
    for wording in file.wordings:
        _check_pieces(file.worded(wording), lines, path, ("wordings", wording))


def _check_pieces(file: TaskFile, lines: Lines, path: Path, section: tuple[str, ...]) -> None:
    item = [*file.inputs, *(["choices"] if file.kind == "multiple_choice" else [])]
    allowed = {
        "query": item,
        "answer": [*item, "answer"],
        "rationale": [*item, "answer", "rationale"],
        "closing": [*item, "answer"],
        "separator": [],
        "channel_answer": [*item, "answer"],
        "channel_query": item,
    }

    def at(key: str) -> str:
        place = (*section, *key.split(".")[1:]) if key.startswith("template.") else tuple(key.split("."))
        return f"{place_of(str(path), lines, place)}: {'.'.join(place)}"

    for piece, names in allowed.items():
        check_template(getattr(file.template, piece), names, at(f"template.{piece}"))
    check_templates(file.task.template, file.inputs, file.instruction, at)
    written: dict[str, str] = {}
    for label in file.labels:
        text = squeeze(rendered(file.task, label))
        if text and text in written:
            key = ("template", "answer")
            message = f"writes {written[text]!r} and {label!r} alike, as {rendered(file.task, label)!r}"
            _fail(path, lines, key, message)
        written[text] = label


_BLOCK = re.compile(r":\s*[|>][1-9]?\s*(?:#.*)?$")


def _check_blocks(file: TaskFile, lines: Lines, path: Path) -> None:
    """A block (`query: |`) ends in a line end that few notice, and it would stand in the prompt."""
    written = path.read_text(encoding="utf-8").split("\n")
    texts: dict[KeyPath, str] = {("template", piece): text for piece, text in file.template} | {
        ("instruction",): file.instruction
    }
    for key, text in texts.items():
        line = lines.get(key)
        if text.endswith("\n") and isinstance(line, int) and _BLOCK.search(written[line - 1].rstrip("\r")):
            sign = written[line - 1].split(":", 1)[1].strip()[0]
            message = f"the block ends in a line end: write '{sign}-' to leave it out, '{sign}+' to keep it"
            _fail(path, lines, key, message)


def _check_fields(file: TaskFile, lines: Lines, path: Path) -> None:
    for name in file.source.fields.inputs:
        if name not in file.inputs:
            key = ("source", "fields", "inputs", name)
            _fail(path, lines, key, f"not an input.{_suggest(name, file.inputs)}")
    generator = file.source.generator
    if generator is not None:
        try:
            generators.create(generator.name, generator.parameters)
        except ConfigError as error:
            _fail(path, lines, ("source", "generator"), str(error))
    if file.source.fields.choices is not None and file.kind != "multiple_choice":
        _fail(path, lines, ("source", "fields", "choices"), f"a {file.kind} task has no choices")
