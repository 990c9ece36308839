"""What tuning asks of a model and of a pool, looked at before a model loads."""

from __future__ import annotations

from icl.engine import resolve
from icl.errors import IclError
from icl.experiments.file.config import Component, Experiment, Source
from icl.experiments.grid.cells import BASE
from icl.tasks import Split
from icl.types import Task


def tunings(experiment: Experiment) -> list[tuple[int, Component]]:
    """Those that train, each with its place in the file."""
    return [(at, item) for at, item in enumerate(experiment.grid.tuning) if item != BASE]


def check_trainable(experiment: Experiment, source: Source) -> None:
    """Raises ConfigError where something is to be trained and the model has no weights at hand."""
    for at, item in tunings(experiment):
        if isinstance(experiment.model, str):
            try:
                if resolve(experiment.model).kind != "fake":
                    return
            except IclError:  # said by the check of the model
                return
        raise source.error(
            ("grid", "tuning", at),
            f"{item.name!r} trains weights, and the model {experiment.model_label!r} has none here; allowed "
            "with it: none",
        )


def check_pool(experiment: Experiment, source: Source, task: Task, split: Split) -> None:
    """Raises ConfigError where a tuning would train on what is no training data, or on fewer examples than
    there are labels."""
    for at, item in tunings(experiment):
        path = ("grid", "tuning", at)
        if split.report.carved:
            raise source.error(
                path,
                f"{item.name!r} has nothing to train on: task {task.name!r} has no train split, and its pool "
                "is a part of its test split",
            )
        if len(split.pool) < len(task.labels):
            raise source.error(
                path,
                f"{item.name!r} trains on the pool, and its {len(split.pool)} examples are fewer than the "
                f"{len(task.labels)} labels of task {task.name!r}: make the pool larger",
            )
