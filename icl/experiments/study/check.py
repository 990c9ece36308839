"""Everything that can be wrong with a study, before a model loads and before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.errors import IclError, unknown_name
from icl.experiments.asking.models import check_models, only_model
from icl.experiments.file.config import Experiment, Source
from icl.experiments.file.placed import placed
from icl.experiments.study.file import PRESET, StudyFile
from icl.experiments.study.plain import plain
from icl.mechanism.contract import Checks, Study, studies
from icl.registry import Entry
from icl.tasks import TaskData, load_task
from icl.tasks.strict_yaml import KeyPath


@dataclass(frozen=True)
class CheckedStudy:
    """A study whose parameters fit, and whose tasks and model are there."""

    file: StudyFile
    source: Source
    study: Study
    preset: str
    parameters: Mapping[str, Any]
    """All that it takes: the file's, else the preset's, else its defaults."""
    tasks: Mapping[str, TaskData]
    model: Experiment | None
    """What opens it."""

    @property
    def resolved(self) -> dict[str, Any]:
        """Everything with its presets, as plain data that reads back to an equal study."""
        study = {self.file.study.name: {PRESET: self.preset, **self.parameters}}
        found: dict[str, Any] = {"name": self.file.name, "study": study}
        if self.file.model is not None:
            found["model"] = self.file.model
        return {**found, "seed": self.file.seed}


def check_study(file: StudyFile, source: Source, *, with_model: bool = False) -> CheckedStudy:
    """Builds the study and reads the tasks that it asks about. ConfigError with file, line and key.

    with_model: whoever calls has a decoder, the file need not name one.
    """
    name = file.study.name
    with placed(source, ("study",)):
        entry = studies.entry(name)
    parameters = {**_preset(file, entry, source), **file.given}
    study = _built(file, entry, parameters, source)
    if study.needs_model and file.model is None and not with_model:
        raise source.error(
            ("study",),
            f"{name} looks at a model, and none is named; add model: an alias (smollm2-135m-instruct), "
            "a folder, a .gguf file or a hub id",
        )
    if not study.needs_model and file.model is not None:
        raise source.error(("model",), f"{name} looks at no model: leave model out")
    model = None if file.model is None else only_model(file.model)
    if model is not None:
        check_models(model, source)
        if model.choice.is_backend or model.choice.name == "fake":
            raise source.error(
                ("model",),
                f"{model.choice.label!r} has no network here that a study could look into; allowed: an "
                "alias, a folder, a .gguf file or a hub id",
            )
    tasks: dict[str, TaskData] = {}
    for task in study.tasks():
        with placed(source, _key_of(file, task)):
            tasks[task] = load_task(source.task_path(task))
    with placed(source, ("study", name)):
        if isinstance(study, Checks):
            study.check(None, tasks)
    return CheckedStudy(file, source, study, str(file.preset), _all(entry, parameters), tasks, model)


def _preset(file: StudyFile, entry: Entry[Study], source: Source) -> Mapping[str, Any]:
    """The parameters of the preset that the file names."""
    presets: Mapping[str, Mapping[str, Any]] = entry.factory.presets  # type: ignore[attr-defined]
    name = file.study.name
    if not isinstance(file.preset, str) or file.preset not in presets:
        raise source.error(
            ("study", name, PRESET), unknown_name(f"preset of {name!r}", str(file.preset), presets)
        )
    return presets[file.preset]


def _built(file: StudyFile, entry: Entry[Study], parameters: Mapping[str, Any], source: Source) -> Study:
    """The study; what is wrong is said with the line of the parameter that it names first."""
    name = file.study.name
    try:
        return studies.create(name, parameters)
    except IclError as error:
        message = str(error)
        allowed = {parameter.name.rstrip("_") for parameter in entry.parameters}
        said = [key for key in file.given if key not in allowed] or [
            key for key in file.given if re.search(rf"\b{re.escape(key)}\b", message)
        ]
        raise source.error(("study", name, *said[:1]), message) from error


def _all(entry: Entry[Study], given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with the defaults of those that are not given, so that another default is another study."""
    names = {parameter.name.rstrip("_"): parameter.default for parameter in entry.parameters}
    return {name: plain(given.get(name, default)) for name, default in names.items()}


def _key_of(file: StudyFile, task: str) -> KeyPath:
    """Where the file names a task: its parameter, else the study."""
    for key, value in file.given.items():
        if value == task or (isinstance(value, list | tuple) and task in value):
            return ("study", file.study.name, key)
    return ("study", file.study.name)
