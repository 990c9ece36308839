"""A judge as a file or an option names it: `{simpleqa: {model: NAME, dtype: float32, read: text}}`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl.engine.fake import ByteTokenizer
from icl.errors import ConfigError
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment, Source, read_experiment
from icl.experiments.file.models import ModelSettings
from icl.judging import Bench, Item, Judge, judges
from icl.tasks.wording import as_written

OF_THE_MODEL = ("model", *ModelSettings.model_fields)
"""Keys beside the judge's own parameters that say which model it asks."""
JUDGE = "judge"
ROOM = 1 << 30


@dataclass(frozen=True, slots=True)
class JudgeChoice:
    """A judge with its parameters, and the model that it asks."""

    component: Component
    experiment: Experiment
    """Of the judge's model alone, as whatever opens, plans or times models takes it."""
    folder: Path = Path()
    """Where a path of a file that it names may begin, before the current folder."""

    @property
    def label(self) -> str:
        """ "simpleqa(model=qwen, read=text)": with everything that may change a verdict."""
        told = {**self.component.parameters, "model": self.experiment.model_label}
        told |= {key: value for key, value in self.experiment.choice.settings.items() if value is not None}
        return Component.model_validate({self.component.name: told}).label

    def build(self) -> Judge:
        """The judge, its files read. Raises ConfigError."""
        given = dict(self.component.parameters)
        if isinstance(given.get("file"), str) and os.path.isfile(beside := self.folder / given["file"]):
            given["file"] = str(beside)
        built = judges.create(self.component.name, given)
        try:
            _ = built.content
        except ConfigError as error:
            raise ConfigError(f"judge {self.component.name!r}: {error}") from error
        return built


def judge_of(experiment: Experiment, source: Source) -> JudgeChoice | None:
    """The judge by which an experiment is judged; None without one. ConfigError with the file's line."""
    if experiment.metric is None:
        return None
    named = experiment.metric["judge"]
    try:
        return judge_choice(named, source.folder)
    except ConfigError as error:
        raise source.error(("metric", JUDGE, *named), str(error)) from error


def digest_of(judge: Judge, label: str) -> str:
    """Changes with whatever decides verdicts, its model's weights apart: parameters, files, what it asks. 16
    hexadecimal digits."""
    digest = hashlib.blake2b(f"{label}\x1f{judge.content}".encode("utf-8", "surrogatepass"), digest_size=8)
    for language in ("en", "zh"):
        item = Item("probe", "question", "answer", ("gold",), "other", language)
        for request in next(judge.grade(item, Bench(ByteTokenizer(), ROOM))):
            digest.update(repr(request).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def judge_choice(value: Any, folder: Path = Path()) -> JudgeChoice:
    """From `{name: {model: ..., parameters}}`. ConfigError for what is no judge, or names no model."""
    try:
        named = Component.model_validate(value)
    except ValueError as error:
        raise ConfigError(
            f"a judge must be {{name: {{model: NAME, parameters}}}}, not {as_written(value)}"
        ) from error
    judges.entry(named.name)
    given = dict(named.parameters)
    settings = {key: given.pop(key) for key in OF_THE_MODEL if key in given}
    model = settings.pop("model", None)
    if model is None:
        raise ConfigError(
            f"judge {named.name!r} needs the parameter 'model': the model that it asks, as under model:"
        )
    component = Component.model_validate({named.name: given})
    return JudgeChoice(component, _alone(model, settings, named.name), folder)


def _alone(model: Any, settings: Mapping[str, Any], judge: str) -> Experiment:
    """An experiment of nothing but this model."""
    if settings and isinstance(model, str):
        model = {model: dict(settings)}
    elif settings:
        raise ConfigError(
            f"judge {judge!r}: {', '.join(settings)} beside model: {as_written(model)}: a model that "
            "is given with options takes its settings among them"
        )
    plain = {
        "name": JUDGE,
        "model": model,
        "task": "questions",
        "grid": {"selector": "zero_shot", "shots": 0},
    }
    try:
        alone, _ = read_experiment(plain)
    except ConfigError as error:
        raise ConfigError(f"judge {judge!r}: {str(error).removeprefix('experiment: ')}") from error
    if len(alone.models) != 1:
        raise ConfigError(f"judge {judge!r}: model names {len(alone.models)} models; a judge asks one")
    return alone
