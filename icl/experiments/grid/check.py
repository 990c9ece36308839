"""All that can be wrong with an experiment, found before a model loads.

Every component is built once, every task is read and split under every seed, and then every component is
tried on the first test item: icl's own as far as they come (`trial`), others to the end (`rehearsal`).
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from icl.encoders import encoder_source
from icl.errors import Collector, ConfigError, IclError, unknown_name
from icl.experiments.asking.judging import check_metric
from icl.experiments.asking.models import check_models
from icl.experiments.asking.pooled import executor_of
from icl.experiments.asking.thinking import with_marks
from icl.experiments.file.axes import Component
from icl.experiments.file.baseline import BaselineError, find_label, resolve_baseline
from icl.experiments.file.config import Experiment, Source
from icl.experiments.grid.cells import BASE, ZERO_SHOT, PlannedCell, fits, majority_cell, plan_cells
from icl.experiments.grid.rehearsal import Rehearsal
from icl.experiments.grid.trainable import check_pool, check_regimes, check_saved, check_trainable
from icl.experiments.grid.trial import try_components
from icl.labels import LABELLED
from icl.prompts.template import render_instruction, render_side
from icl.protocols import ALL_KINDS, methods, metrics, orderers, selectors, tuners
from icl.registry import Registry
from icl.tasks import Split, TaskData, load_task
from icl.tasks.splits import SizeError
from icl.tracking import Tracker, trackers
from icl.types import Task


@dataclass(frozen=True, slots=True)
class Checked:
    """An experiment with its data, ready to run."""

    experiment: Experiment
    source: Source
    tasks: Mapping[str, TaskData]
    splits: Mapping[tuple[str, int], Split]
    """(task, seed) -> pool and test."""
    cells: tuple[PlannedCell, ...]
    needs_encoder: bool

    @property
    def each(self) -> tuple[Checked, ...]:
        """The same a model, with the cells of that model."""
        return tuple(
            replace(
                self,
                experiment=one,
                cells=tuple(c for c in self.cells if c.cell.model == one.model_label),
            )
            for one in self.experiment.each
        )

    @property
    def data_fingerprints(self) -> dict[str, str]:
        """task -> hash of its definition and rows."""
        return {name: data.fingerprint for name, data in self.tasks.items()}


REGISTRIES: dict[str, Registry[Any]] = {
    "selector": selectors,
    "orderer": orderers,
    "method": methods,
    "tuning": tuners,
}


def check(experiment: Experiment, source: Source, *, wants_all: bool = False) -> Checked:
    """Builds and reads everything but the model.

    Raises ConfigError or DataError with the first problem, or, where all are wanted, with every one
    that can be found beside the others.
    """
    problems = Collector(wants_all=wants_all)
    built = {axis: _build_axis(experiment, source, axis, problems) for axis in REGISTRIES}
    with problems.one():
        _check_metric(experiment.leaderboard.metric, ("leaderboard", "metric"), source)
    with problems.one():
        check_metric(experiment, source)
    for name, options in experiment.track.items():
        with problems.one():
            _located(partial(tracker, name, options), source, ("track", name))
    with problems.one():
        executor_of(experiment, source)
    with problems.one():
        _check_only(experiment, source)
        _check_baseline(experiment, source)
    with problems.one():
        check_models(experiment, source)
        check_trainable(experiment, source)
        check_saved(experiment, source)
    needs_encoder = any("encoder" in getattr(part, "needs", ()) for axis in built.values() for part in axis)
    if needs_encoder:
        with problems.one():
            _located(lambda: encoder_source(experiment.encoder), source, ("encoder",))
    with problems.one():
        _check_shots(experiment, source, built["orderer"])
    tasks = _load_tasks(experiment, source, problems)
    splits: dict[tuple[str, int], Split] = {}
    for index, data in tasks.items():
        _check_task(experiment, source, index, data, built, splits, problems)
    problems.finish()
    named = {data.task.name: data for data in tasks.values()}
    cells = tuple(plan_cells(experiment, list(named)))
    return Checked(experiment, source, named, splits, cells, needs_encoder)


def _check_task(
    experiment: Experiment,
    source: Source,
    index: int,
    data: TaskData,
    built: Mapping[str, list[Any]],
    splits: dict[tuple[str, int], Split],
    problems: Collector,
) -> None:
    """What concerns one task; its splits go to `splits`."""
    name, before = data.task.name, len(problems.found)
    for axis in ("orderer", "method", "tuning"):
        with problems.one():
            _check_fit(experiment, source, axis, data, built[axis])
    with problems.one():
        check_regimes(experiment, source, data, built["tuning"])
    for seed in experiment.seeds:
        with problems.one():
            splits[name, seed] = _split(experiment, source, index, data, seed)
            check_pool(experiment, source, data.task, splits[name, seed], built["tuning"])
    with problems.one():
        for seed in experiment.seeds[:1] if len(problems.found) == before else ():
            _try_templates(data.task, splits[name, seed], source.task_path(experiment.task[index]))
    if len(problems.found) == before:
        split = splits[name, experiment.seeds[0]]
        Rehearsal(experiment, source, data.task, index, split, built, problems).run()
        try_components(experiment, source, data.task, split, built, problems)


def _located(make: Any, source: Source, path: tuple[str | int, ...]) -> Any:
    """What `make` returns; an error of the user's gets the experiment's file and line."""
    try:
        return make()
    except IclError as error:
        raise source.error(path, str(error)) from error


def _build_axis(experiment: Experiment, source: Source, axis: str, problems: Collector) -> list[Any]:
    """The components of an axis; None in place of one that cannot be built."""
    items: tuple[Component, ...] = getattr(experiment.grid, axis)
    built: list[Any] = [None] * len(items)
    for index, item in enumerate(items):
        with problems.one():
            built[index] = _located(partial(_build, axis, item), source, ("grid", axis, index, item.name))
    return built


def _build(axis: str, item: Component) -> Any:
    """One component; None for no tuning. ConfigError where `needs` or `kinds` of one from outside are no
    sets."""
    if axis == "tuning" and item.name == BASE.name:
        if item.parameters:
            raise ConfigError(f"{BASE.name!r} has no parameters: it is the model as it is")
        return None
    if item.name not in REGISTRIES[axis]:
        for other, registry in REGISTRIES.items():
            if item.name in registry:
                raise ConfigError(f"{item.name!r} is no {axis}: it belongs under grid.{other}")
        if axis == "tuning" and ":" not in item.name:
            raise ConfigError(unknown_name("tuning", item.name, [BASE.name, *tuners]))
    built = REGISTRIES[axis].create(item.name, item.parameters)
    for part in ("needs", "kinds"):
        if not isinstance(getattr(built, part, frozenset()), set | frozenset):
            raise ConfigError(
                f"{item.name!r} is no {axis}: its {part} are {getattr(built, part)!r}, not a set"
            )
    return built


def _check_metric(name: str | None, path: tuple[str | int, ...], source: Source) -> None:
    if name is not None:
        _located(lambda: metrics.create(name), source, path)


def tracker(name: str, options: Mapping[str, Any]) -> Tracker:
    """Built, and its package there. ConfigError with the line that installs it."""
    built = trackers.create(name, options)
    module = re.split(r"[<>=]", built.package)[0].removesuffix("-skinny")
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"tracker {name!r} needs a package that is not installed: pip install {built.package!r}"
        )
    return built


def _check_only(experiment: Experiment, source: Source) -> None:
    """Refuses a pattern that names what the grid does not have, or that no cell fits."""
    grid = experiment.grid.model_copy(update={"only": ()})
    whole = plan_cells(experiment.model_copy(update={"grid": grid}), [""])
    for index, pattern in enumerate(experiment.grid.only):
        for axis, values in pattern.named.items():
            items = [c.shots if axis == "shots" else getattr(c, axis) for c in whole]
            known = {str(n) for i in items for n in ((i,) if isinstance(i, int) else (i.label, i.name))}
            for value in values:
                if str(value) not in known:
                    raise source.error(("grid", "only", index, axis), unknown_name(axis, str(value), known))
        if not any(fits(cell, pattern) for cell in whole):
            raise source.error(("grid", "only", index), "no cell of the grid has all of these values")


def _check_baseline(experiment: Experiment, source: Source) -> None:
    """Refuses a baseline that no row of the grid has, or that could mean several."""
    wanted = experiment.leaderboard.compare_to
    if wanted is None:
        return
    majorities = [majority_cell(one, "", 0) for one in experiment.each]
    rows = [*majorities, *(c.cell for c in plan_cells(experiment, [""]))]
    try:
        resolve_baseline(wanted.named, rows)
    except BaselineError as error:
        if _asks_for_no_demonstrations(experiment, error.axis):
            raise source.error(
                ("grid", "shots") if not any(experiment.grid.shots) else ("grid", "selector"),
                "asks for no demonstrations, so that no row has a selector and an order of its own to be "
                f"compared with: {wanted.plain!r}. Add a number of shots above 0 and a selector, or compare "
                "with zero_shot",
            ) from error
        path = ("leaderboard", "compare_to", *([error.axis] if error.axis else []))
        raise source.error(path, str(error)) from error


def _asks_for_no_demonstrations(experiment: Experiment, axis: str | None) -> bool:
    """Whether a baseline is in the grid and yet in no row, because every row has zero shots."""
    wanted = experiment.leaderboard.compare_to
    if wanted is None or axis not in ("selector", "orderer"):
        return False
    if any(experiment.grid.shots) and any(i.name != ZERO_SHOT.name for i in experiment.grid.selector):
        return False
    labels = [item.label for item in getattr(experiment.grid, axis)]
    try:
        return bool(find_label(axis, str(wanted.named[axis]), labels))
    except BaselineError:
        return False


def _check_shots(experiment: Experiment, source: Source, built: Iterable[Any]) -> None:
    for index, orderer in enumerate(built):
        if hasattr(orderer, "check_shots"):
            for shots in experiment.grid.shots:
                _located(partial(orderer.check_shots, shots), source, ("grid", "orderer", index))
    for index, shots in enumerate(experiment.grid.shots):
        if experiment.pool is not None and shots > experiment.pool:
            raise source.error(
                ("grid", "shots", index),
                f"{shots} demonstrations cannot come from a pool of {experiment.pool}",
            )


def _load_tasks(experiment: Experiment, source: Source, problems: Collector) -> dict[int, TaskData]:
    """By their place in the file."""
    tasks: dict[int, TaskData] = {}
    for index, name in enumerate(experiment.task):
        with problems.one():
            data = _load_task(source, index, source.task_path(name))
            data = replace(data, task=with_marks(data.task, experiment.think))
            if any(other.task.name == data.task.name for other in tasks.values()):
                raise source.error(("task", index), f"another task is called {data.task.name!r} too")
            tasks[index] = data
    return tasks


def _load_task(source: Source, index: int, path: str) -> TaskData:
    try:
        return load_task(path)
    except ConfigError as error:
        # Errors inside a task file name that file and its line themselves.
        if path.endswith((".yaml", ".yml")) and os.path.isfile(path):
            raise
        raise source.error(("task", index), str(error)) from error


def _split(experiment: Experiment, source: Source, index: int, data: TaskData, seed: int) -> Split:
    try:
        return data.split(experiment.pool, experiment.test, seed, experiment.duplicate_threshold)
    except SizeError as error:
        raise ConfigError(f"{source.where((error.key,))}: {error}") from error
    except IclError as error:
        raise source.error(("task", index), str(error)) from error


def _check_fit(
    experiment: Experiment, source: Source, axis: str, data: TaskData, built: Iterable[Any]
) -> None:
    """Refuses methods, and orderers that say so, for a kind of task that they do not take."""
    kind, registry = data.task.kind, REGISTRIES[axis]
    for index, (item, part) in enumerate(zip(getattr(experiment.grid, axis), built, strict=True)):
        kinds = getattr(part, "kinds", ALL_KINDS)
        if kind not in kinds:
            fitting = [n for n in registry if kind in getattr(registry.entry(n).factory, "kinds", ALL_KINDS)]
            raise source.error(
                ("grid", axis, index),
                f"{axis} {item.name!r} does not fit task {data.task.name!r} (kind {kind}): it takes "
                f"{', '.join(sorted(kinds))}. {axis.capitalize()}s that fit: {', '.join(fitting) or 'none'}",
            )
        several = [e for e in (*data.test, *data.train) if e.accepted] if axis == "method" else []
        if several and kinds <= LABELLED:
            raise source.error(
                ("grid", axis, index),
                f"{item.name!r} compares labels with one gold, and {len(several)} rows of task "
                f"{data.task.name!r} have a list of them ({several[0].id}: {', '.join(several[0].golds)}); "
                "methods that write an answer, such as generate, take any of a list",
            )


def _try_templates(task: Task, split: Split, path: str) -> None:
    """Writes the first test item and demonstration by the task's own templates: what is wrong with those
    is the task file's, and no method's."""
    try:
        render_instruction(task)
        render_side(task, "query", split.test[0].query)
        for example in split.pool[:1]:
            render_side(task, "query", example)
            render_side(task, "answer", example)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
