"""What tuning asks of a model and of a pool, looked at before a model loads."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from icl.engine import resolve
from icl.engine.loading.sources import file_digest, weights_fingerprint
from icl.errors import ConfigError, IclError
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment, Source
from icl.experiments.file.models import ModelChoice
from icl.experiments.grid.cells import BASE, plan_cells
from icl.labels import LABELLED
from icl.protocols import tuners
from icl.tasks import Split, TaskData, load_task
from icl.tasks.duplicates import overlap
from icl.types import Task

SAVED = "saved"
SAME_SHARE = 0.5
SAME_ANSWERS = 0.9
"""From these shares of rows and of their answers on two tasks are one under two names."""


def tunings(experiment: Experiment) -> list[tuple[int, Component]]:
    """Those that train, each with its place in the file."""
    return [(at, item) for at, item in enumerate(experiment.grid.tuning) if item != BASE]


def placed(item: Component, source: Source) -> Component:
    """With its folder or file found beside the experiment file first, then from the current folder."""

    def beside(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [beside(one) for one in value]
        there = isinstance(value, str) and os.path.exists(source.folder / value)
        return str(source.folder / value) if there else value

    given = dict(item.parameters)
    given |= {key: beside(given[key]) for key in ("folder", "file") if key in given}
    mix = given.get("mix")
    if isinstance(mix, Mapping) and isinstance(plain := mix.get("pretraining"), Mapping):
        given["mix"] = {**mix, "pretraining": {**plain, "file": beside(plain.get("file"))}}
    return item.model_copy(update={"parameters": given})


def source_digest(item: Component, source: Source) -> str:
    """Of what is learned from beside the pool: a saved tuning, a file of rows, other tasks; "" without."""
    given = placed(item, source).parameters
    total, some = hashlib.blake2b(digest_size=16), False
    files = given.get("file")
    plain = (given.get("mix") or {}).get("pretraining") if isinstance(given.get("mix"), Mapping) else None
    places = [given.get("folder"), *(files if isinstance(files, list | tuple) else [files])]
    for place in [*places, plain.get("file") if isinstance(plain, Mapping) else None]:
        if isinstance(place, str) and os.path.exists(place):
            path, some = Path(place), True
            for one in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
                total.update(f"{one.name} {file_digest(one)};".encode())
    tasks = given.get("tasks")
    for name in tasks if isinstance(tasks, list | tuple) else ():
        if isinstance(name, str):
            total.update(f"{name} {load_task(source.task_path(name)).fingerprint};".encode())
            some = True
    return total.hexdigest() if some else ""


def check_trainable(experiment: Experiment, source: Source) -> None:
    """Raises ConfigError where something is to be trained and the model has no weights at hand."""
    for one, at, item in _asked(experiment):
        choice = one.choice
        if not choice.is_backend:
            try:
                if resolve(choice.name).kind != "fake":
                    continue
            except IclError:  # said by the check of the model
                continue
        raise source.error(
            ("grid", "tuning", at),
            f"{item.name!r} trains weights, and the model {choice.label!r} has none here; allowed "
            "with it: none",
        )


def _asked(experiment: Experiment) -> list[tuple[Experiment, int, Component]]:
    """Tunings under each of the models, those that `only` leaves out left out."""
    found = []
    for one in experiment.each:
        there = {c.cell.tuning for c in plan_cells(one, [""])}
        found += [(one, at, item) for at, item in tunings(one) if item.label in there]
    return found


def refuse_given(experiment: Experiment, source: Source) -> None:
    """Raises ConfigError where a model that the caller has loaded would have to be trained."""
    for at, item in tunings(experiment):
        raise source.error(
            ("grid", "tuning", at),
            f"{item.name!r} trains a network fresh from its files, and a model that is given to the run "
            "(model=...) has none: leave it out, or tune none",
        )


def check_saved(experiment: Experiment, source: Source) -> None:
    """Raises ConfigError where a saved tuning is not there, is damaged, or is known to be of another base."""
    for one, at, item in _asked(experiment):
        if item.name != SAVED:
            continue
        folder = Path(str(placed(item, source).parameters.get("folder")))
        path = ("grid", "tuning", at)
        if not folder.is_dir():
            raise source.error(path, f"{str(folder)!r} is no folder: icl tune makes them")
        try:
            wrong = of_another_base(folder, _known_weights(one.choice)) or _damage(folder)
        except IclError as error:
            raise source.error(path, str(error)) from error
        if wrong:
            raise source.error(path, wrong)


def _damage(folder: Path) -> str:
    """DataError where the weights are missing, or not those that were written; else ""."""
    from icl.tuning.saved import plain_peft
    from icl.tuning.shared.folder import cost_of, read_about, read_state

    about: dict[str, Any] = {} if plain_peft(str(folder)) else read_about(folder)
    read_state(folder, about.get("digest"))
    cost_of(about)
    return ""


def of_another_base(folder: Path, base: str) -> str:
    """Why a saved tuning cannot be put into a model, or "". base: its fingerprint, or the part of it that is
    known. What peft saved does not know its base: shapes decide, once the network is there. DataError for
    what cannot be read."""
    from icl.tuning.saved import plain_peft
    from icl.tuning.shared.folder import read_about

    if plain_peft(str(folder)):
        from icl.tuning.shared.peft_folder import read_adapter

        read_adapter(folder)
        return ""
    said = read_about(folder).get("of")
    of: dict[str, Any] = said if isinstance(said, dict) else {}
    held = of.get("base")
    if not isinstance(held, str) or not held:
        return f"{folder}: does not say what model it was trained on"
    if base and held != base and not held.startswith(f"{base}-"):
        return (
            f"{folder}: was trained on another base, {of.get('model')!r} with weights and tokenizer {held}; "
            f"here they are {base}"
        )
    return ""


def _known_weights(model: ModelChoice) -> str:
    """Fingerprint of the weights where it can be had at once; "" for what would have to be fetched."""
    try:
        found = None if model.is_backend else resolve(model.name)
        if found is None or found.kind in ("fake", "hub"):
            return ""
        if found.gguf_file is None:
            return weights_fingerprint(Path(found.location))
        from icl.engine.loading.gguf.convert import VERSION

        return weights_fingerprint(Path(found.location), found.gguf_file, f"conversion {VERSION}")
    except IclError:  # said by the check of the model
        return ""


def check_regimes(experiment: Experiment, source: Source, asked: TaskData, built: Sequence[object]) -> None:
    """Raises ConfigError for what a tuner itself finds wrong with this task and with what else it trains on
    (protocols.Tuner, `check`), and for another task that holds the rows of the one that is asked."""
    opened: dict[str, TaskData] = {asked.task.name: asked}

    def load(name: str) -> TaskData:
        if name not in opened:
            opened[name] = load_task(source.task_path(name))
            _refuse_same_rows(name, opened[name], asked)
        return opened[name]

    for at, item in tunings(experiment):
        if not callable(getattr(built[at], "check", None)):
            continue
        given = placed(item, source)
        try:
            tuner: Any = tuners.create(given.name, given.parameters)
            tuner.check(asked.task, load)
        except IclError as error:
            raise source.error(("grid", "tuning", at), str(error)) from error


def _refuse_same_rows(name: str, other: TaskData, asked: TaskData) -> None:
    """ConfigError where a task that is trained on is the asked one under another name or in another wording:
    most rows of the smaller of the two are in both, and their answers go together. The rows that a test set
    holds are left out of training in any case."""
    if other.task.name == asked.task.name:
        return  # the tuner's own to say
    # ids are of one task only, and those of two are often the same
    rows = [replace(e, id=f"{asked.task.name}/{e.id}") for e in (*asked.train, *asked.test)]
    met = overlap(other.train, rows)
    if len(met) <= SAME_SHARE * min(len(other.train), len(rows)):
        return
    gold = {example.id: example.target for example in rows}
    pairs = Counter((e.target, gold[met[e.id][0]]) for e in other.train if e.id in met)
    if other.task.kind in LABELLED and asked.task.kind in LABELLED:
        together = sum(max(n for (b, _), n in pairs.items() if b == a) for a in {a for a, _ in pairs})
    else:
        together = sum(n for (a, b), n in pairs.items() if a == b)
    if together >= SAME_ANSWERS * len(met):
        raise ConfigError(
            f"{len(met)} of {len(other.train)} rows of task {name!r} are rows of {asked.task.name!r}, the "
            "task that is asked; allowed: tasks with rows of their own"
        )


def check_pool(
    experiment: Experiment, source: Source, task: Task, split: Split, built: Sequence[object]
) -> None:
    """Raises ConfigError where a tuning would train on what is no training data, or on fewer examples than
    there are labels. built: the tuners; None for one that could not be built."""
    for at, item in tunings(experiment):
        path = ("grid", "tuning", at)
        if item.name == SAVED or not getattr(built[at], "uses_pool", True):
            continue
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
        keeps = getattr(built[at], "keeps", 0)
        if keeps >= len(split.pool):
            raise source.error(
                path,
                f"{item.name!r} keeps {keeps} examples from training (validation), and the pool of task "
                f"{task.name!r} has {len(split.pool)}: make the pool larger or give a smaller validation",
            )
