"""Templates that make instruction rows of any task, in the manner of PromptSource (Bach et al. 2022).

A template is one jinja2 text `prompt ||| target` in icl's sandbox; `answer_choices` is a second one, parted
at `|||`. What stands in the data is never part of the syntax: braces stay, a `|||` in a text is no border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from icl.errors import ConfigError
from icl.prompts.template import check_template, render
from icl.tasks.strict_yaml import Lines, place_of, read_yaml, validate
from icl.types import Example, Task, TaskKind

BORDER = "|||"
_HELD = "\ue0f1\ue0f2\ue0f3"
"""Stands for a border in data while a template is rendered: private characters, which no text should hold."""
NAMES = (
    "item", "answer", "answer_text", "label", "labels", "choices", "options", "answer_choices", "description",
    "rationale",
)  # fmt: skip
"""What a template may name beside the task's inputs."""
LONGEST_FIELD = 2048
"""Characters of a field in PromptSource; longer ones are cut."""


class TemplateSpec(BaseModel):
    """One template of a file, with PromptSource's metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    template: Annotated[str, Field(min_length=1)]
    instruction: str = ""
    """A description of the task by a human, as its own field of the row; the prompt is its input then."""
    answer_choices: str = "{{ labels | join(' ||| ') }}"
    kinds: tuple[TaskKind, ...] = ()
    """Kinds of task that it fits; none: all."""
    tasks: tuple[str, ...] = ()
    """Tasks that it is for; none: all of the kinds."""
    languages: tuple[str, ...] = ("en",)
    inverted: bool = False
    """The input is asked for, from the output."""
    choices_in_prompt: bool = False
    """Whether the options stand in the prompt in any case; where `options` is named it depends on the row."""
    original_task: bool = True
    metrics: tuple[str, ...] = ()


class TemplateFile(BaseModel):
    """A file of templates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    templates: Annotated[tuple[TemplateSpec, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Written:
    """One example written by one template."""

    instruction: str
    prompt: str
    target: str


@dataclass(frozen=True)
class TaskTemplate:
    """A template checked against a task."""

    spec: TemplateSpec
    task: Task
    where: str

    @property
    def takes_options(self) -> bool:
        """Whether rows with and without options differ."""
        return "options" in self.spec.template

    def write(
        self, example: Example, *, options: bool, longest: int | None = LONGEST_FIELD
    ) -> Written | None:
        """The example as prompt and target; None where the template gives one of them empty.

        longest: characters of an input beyond which it is cut. ConfigError where it cannot be rendered.
        """
        values = self._values(example, options, longest)
        where = f"{self.where}, item {example.id!r}"
        choices = render(self.spec.answer_choices, values, f"{where}: answer_choices")
        values["answer_choices"] = [_given_back(part.strip()) for part in choices.split(BORDER)]
        whole = render(self.spec.template, values, where)
        if not whole.strip():
            return None
        parts = whole.split(BORDER)
        if len(parts) != 2:
            raise ConfigError(f"{where}: gives {len(parts)} parts; allowed: prompt {BORDER} target")
        prompt, target = (_given_back(part).strip() for part in parts)
        instruction = _given_back(render(self.spec.instruction, values, f"{where}: instruction")).strip()
        return Written(instruction, prompt, target) if prompt and target else None

    def _values(self, example: Example, options: bool, longest: int | None) -> dict[str, Any]:
        task = self.task
        inputs = {name: _held(_cut(text, longest)) for name, text in example.inputs.items()}
        choices = {letter: _held(_cut(text, longest)) for letter, text in example.choices.items()}
        labels = [_held(task.verbalise(label)) for label in task.labels]
        answer = _held(task.verbalise(example.target))
        shown = [f"({letter}) {text}" for letter, text in choices.items()] if choices else labels
        block = "\n\nOptions:\n" + "\n".join(f"- {text}" for text in shown) if options and shown else ""
        return {
            **inputs,
            "item": "\n".join(
                inputs.values()
                if len(inputs) == 1
                else (f"{name.replace('_', ' ').capitalize()}: {text}" for name, text in inputs.items())
            ),
            "answer": answer,
            "answer_text": choices.get(example.target, answer),
            "label": task.labels.index(example.target) if example.target in task.labels else -1,
            "labels": labels or list(choices.values()),
            "choices": choices,
            "options": block,
            "description": task.description,
            "rationale": _held(example.rationale or ""),
            "answer_choices": [],
        }


def _cut(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else text[:longest]


def _held(text: str) -> str:
    return text.replace(BORDER, _HELD)


def _given_back(text: str) -> str:
    return text.replace(_HELD, BORDER)


def template_names() -> list[str]:
    """Sets of templates of the package."""
    folder = files("icl.instructions") / "templates"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def shipped() -> list[tuple[TemplateSpec, str]]:
    """The templates of the package, each with its place in words."""
    found: list[tuple[TemplateSpec, str]] = []
    for name in template_names():
        with as_file(files("icl.instructions") / "templates" / f"{name}.yaml") as path:
            file, _ = _read(path)
        found += [(spec, f"template {spec.name!r}") for spec in file.templates]
    return found


def read_templates(path: Path) -> list[tuple[TemplateSpec, str]]:
    """The templates of a file, each with file and line. ConfigError naming both and the key."""
    file, lines = _read(path)
    return [
        (spec, f"{place_of(str(path), lines, ('templates', at))}: template {spec.name!r}")
        for at, spec in enumerate(file.templates)
    ]


def _read(path: Path) -> tuple[TemplateFile, Lines]:
    data, lines = read_yaml(path)
    file = validate(TemplateFile, data, lines, str(path))
    names = [spec.name for spec in file.templates]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise ConfigError(f"{path}: template {twice!r} is there twice")
    return file, lines


def for_task(specs: Sequence[tuple[TemplateSpec, str]], task: Task) -> list[TaskTemplate]:
    """Those that fit the task, each checked: a name that the task's rows do not have is a ConfigError."""
    found = []
    for spec, where in specs:
        fits = not spec.kinds or task.kind in spec.kinds
        meant = not spec.tasks or task.name.partition("@")[0] in spec.tasks
        if not (fits and meant and task.language in spec.languages):
            continue
        allowed = (*task.inputs, *NAMES)
        for key in ("template", "answer_choices", "instruction"):
            check_template(getattr(spec, key), allowed, f"{where}: {key}")
        if BORDER not in spec.template:
            raise ConfigError(f"{where}: template has no {BORDER} between prompt and target")
        found.append(TaskTemplate(spec, task, where))
    return found


def named(templates: Sequence[TaskTemplate], wanted: Sequence[str], where: str) -> list[TaskTemplate]:
    """Those of these names, in this order. ConfigError for one that is not there."""
    from icl.errors import unknown_name

    by_name: Mapping[str, TaskTemplate] = {template.spec.name: template for template in templates}
    for name in wanted:
        if name not in by_name:
            raise ConfigError(f"{where}: {unknown_name('template', name, by_name)}")
    return [by_name[name] for name in wanted]
