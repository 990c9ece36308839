"""Everything that can be wrong with a recipe, before a model loads and before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from icl.errors import Collector, ConfigError
from icl.experiments.asking.models import check_models, only_model
from icl.experiments.corpus.recipe import MixFile, Part, Recipe, model_label
from icl.experiments.file.config import Experiment, Source, is_experiment, read_experiment
from icl.experiments.file.models import Plain
from icl.experiments.file.placed import placed
from icl.instructions.contract import Place, RowGenerator, row_generators, text_digest
from icl.instructions.licences import licence_of
from icl.mixing import MixSource, rates
from icl.tasks import TaskData, load_task
from icl.tasks.leaks import LeakIndex
from icl.types import Example

PRETRAINING = "pretraining"
"""The part of plain text that a mixture names."""
VERSION = 3
"""Of what generators make: a change of it makes parts anew."""


@dataclass(frozen=True)
class CheckedPart:
    """A part that can be made."""

    part: Part
    generator: RowGenerator
    reads: str
    """Changes with the data that it is made of."""
    licence: str
    """Of rows that say none themselves."""
    model: Plain | None
    """Whom it asks; None: nobody."""

    @property
    def label(self) -> str:
        """Its name in the folder and in the card."""
        return self.part.label


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe whose parts, files, tasks and models are there."""

    recipe: Recipe
    source: Source
    place: Place
    parts: tuple[CheckedPart, ...]
    tests: Mapping[str, tuple[Example, ...]]
    """Task -> the items that no row may hold."""

    @cached_property
    def leaks(self) -> LeakIndex:
        """What finds them."""
        return LeakIndex(self.tests, self.recipe.ngram)

    @cached_property
    def models(self) -> dict[str, Experiment]:
        """Label -> the model that is asked under it."""
        asked = [one.model for one in self.parts if one.model is not None]
        return {model_label(model): only_model(model) for model in asked}

    def digest(self, one: CheckedPart) -> str:
        """What a part's rows depend on, but for the weights of the model."""
        plain = {k: v for k, v in one.part.plain.items() if k not in ("quality", "cap", "group", "name")}
        plain |= {"model": one.model, "seed": self.recipe.seed, "name": one.label, "licence": one.licence}
        return text_digest(
            str(VERSION), json.dumps(plain, sort_keys=True, default=str), one.reads, self.leaks.fingerprint
        )


def check_recipe(recipe: Recipe, source: Source, *, wants_all: bool = False) -> CheckedRecipe:
    """Builds every generator and reads what it goes by. ConfigError with file, line and key; `wants_all`:
    all that is wrong at once."""

    @cache
    def load(name: str) -> TaskData:
        return load_task(source.task_path(name))

    place = Place(source.folder, load)
    collector = Collector(wants_all=wants_all)
    parts: list[CheckedPart] = []
    for at, part in enumerate((*recipe.parts, *pretraining_of(recipe.mix))):
        path = ("parts", at) if at < len(recipe.parts) else ("mix", "pretraining", "file")
        with collector.one(), placed(source, path):
            parts.append(_checked(recipe, part, place, source))
    tests: dict[str, tuple[Example, ...]] = {}
    known: set[tuple[str, str]] = set()

    def keep_out(data: TaskData) -> None:
        """Its test set; of two tasks of one name both."""
        name = data.task.name
        if (name, data.fingerprint) not in known:
            known.add((name, data.fingerprint))
            tests[name] = (*tests.get(name, ()), *data.test)

    for at, name in enumerate(recipe.exclude_test_of):
        with collector.one(), placed(source, ("exclude_test_of", at)):
            for data in _tasks_of(name, source, load):
                keep_out(data)
    collector.finish()
    for part in recipe.parts:
        if isinstance(task := part.parameters.get("task"), str):
            keep_out(load(task))
    with placed(source, ("mix",)):
        mixture_rates(recipe, [1] * len(parts), parts)
    return CheckedRecipe(recipe, source, place, tuple(parts), tests)


def pretraining_of(mix: MixFile | None) -> list[Part]:
    """The plain text of a mixture as a part."""
    if mix is None or mix.pretraining is None:
        return []
    given = mix.pretraining
    parameters = {"path": given.file, "plain": True}
    return [Part(by="file", parameters=parameters, name=PRETRAINING, licence=given.licence)]


def _checked(recipe: Recipe, part: Part, place: Place, source: Source) -> CheckedPart:
    generator = row_generators.create(part.by, part.parameters)
    model = recipe.model_of(part) if generator.asks else None
    if generator.asks and model is None:
        raise ConfigError(f"{part.by} asks a model, and none is named: add model: to the recipe or the part")
    if not generator.asks and part.model is not None:
        raise ConfigError(f"{part.by} asks no model: leave model out")
    if model is not None:
        check_models(only_model(model), source)
    generator.check(place)
    task = part.parameters.get("task")
    licence = part.licence or (licence_of(place.load(task)) if isinstance(task, str) else "")
    return CheckedPart(part, generator, generator.reads(place), licence, model)


def _tasks_of(name: str, source: Source, load: Callable[[str], TaskData]) -> list[TaskData]:
    """The task of this name, or those of an experiment file."""
    path = Path(source.task_path(name))
    if path.suffix in (".yaml", ".yml") and path.is_file() and is_experiment(path):
        experiment, own = read_experiment(path)
        return [load_task(own.task_path(task)) for task in experiment.task]
    return [load(name)]


def mixture_rates(recipe: Recipe, sizes: list[int], parts: list[CheckedPart]) -> list[float]:
    """The share of each part, those of the recipe and then the plain text. ValueError where there is none."""
    mix = recipe.mix or MixFile()
    sources = [
        MixSource(one.label, size, one.part.quality, one.part.cap, one.part.group)
        for one, size in zip(parts, sizes, strict=True)
    ]
    plain = mix.pretraining
    return rates(
        sources,
        cap=mix.cap,
        temperature=mix.temperature,
        groups=mix.levels,
        plain=None if plain is None else PRETRAINING,
        plain_share=0.0 if plain is None else plain.share,
    )
