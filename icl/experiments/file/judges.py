"""A judge as a file or an option names it: `{simpleqa: {model: NAME, dtype: float32, read: text}}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icl.errors import ConfigError
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment, read_experiment
from icl.experiments.file.models import ModelSettings
from icl.judging import Judge, judges
from icl.tasks.wording import as_written

OF_THE_MODEL = ("model", *ModelSettings.model_fields)
"""Keys beside the judge's own parameters that say which model it asks."""
JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class JudgeChoice:
    """A judge with its parameters, and the model that it asks."""

    component: Component
    experiment: Experiment
    """Of the judge's model alone, as whatever opens, plans or times models takes it."""

    @property
    def label(self) -> str:
        """ "simpleqa(model=qwen, read=text)": with everything that may change a verdict."""
        told = {**self.component.parameters, "model": self.experiment.model_label}
        told |= {key: value for key, value in self.experiment.choice.settings.items() if value is not None}
        return Component.model_validate({self.component.name: told}).label

    def build(self) -> Judge:
        """The judge, its files read. Raises ConfigError."""
        built = judges.create(self.component.name, self.component.parameters)
        try:
            built.check()
        except ConfigError as error:
            raise ConfigError(f"judge {self.component.name!r}: {error}") from error
        return built


def judge_choice(value: Any) -> JudgeChoice:
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
    return JudgeChoice(component, _alone(model, settings, named.name))


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
