"""What training would cost, from token counts: no weights are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icl.experiments.file.axes import Component
from icl.experiments.grid.cells import BASE
from icl.experiments.grid.check import Checked
from icl.experiments.grid.trainable import SAVED, placed
from icl.prompts import PromptRenderer
from icl.protocols import Tokenizer, Tuner, TuningResources, tuners
from icl.training import TrainingCost
from icl.types import Example

MEASURED = 64
"""Rows of a pool whose length is taken."""


def expected_training(
    checked: Checked, tokenizer: Tokenizer, context_length: int
) -> dict[str, TrainingCost | None]:
    """Tuning -> its cost for one model over all tasks and seeds; None for one of which neither its own
    `plan` nor its settings tell."""
    found: dict[str, TrainingCost | None] = {}
    for item, task, seed in trained(checked):
        given = placed(item, checked.source)
        tuner = tuners.create(given.name, given.parameters)
        resources = _resources(checked, task, seed, tokenizer, context_length)
        pool = checked.splits[task, seed].pool
        one = TrainingCost() if item.name == SAVED else _expected(tuner, pool, resources)
        total = found.get(item.label, TrainingCost())
        found[item.label] = total + one if total is not None and one is not None else None
    return found


def trained(checked: Checked) -> list[tuple[Component, str, int]]:
    """(tuning, task, seed) of all that the grid has to train, each once."""
    cells = [c for c in checked.cells if c.tuning != BASE]
    found = {(c.cell.tuning, c.cell.task, c.cell.seed): c.tuning for c in cells}
    return [(item, task, seed) for (_, task, seed), item in found.items()]


def _resources(
    checked: Checked, task: str, seed: int, tokenizer: Tokenizer, context_length: int
) -> TuningResources:
    prompt = checked.experiment.prompt
    definition = checked.tasks[task].task
    renderer = PromptRenderer(
        task=definition,
        tokenizer=tokenizer,
        context_length=context_length,
        chat=prompt.chat,
        overflow=prompt.overflow,
    )
    return TuningResources(definition, None, tokenizer, renderer, context_length, seed)


def _expected(tuner: Tuner, pool: Sequence[Example], resources: TuningResources) -> TrainingCost | None:
    """By the tuner's own `plan(pool, resources)`, where it has one; else a step is so many rows of mean
    length. Rows of other tasks, or that the model writes, are not known."""
    own = getattr(tuner, "plan", None)
    if callable(own):
        told = own(pool, resources)
        return told if isinstance(told, TrainingCost) else None
    settings = _settings(tuner)
    if settings is None:
        return None
    steps, batch, runs, validation, looks = settings
    length = _mean_length(pool, resources)
    return TrainingCost(
        steps=runs * steps,
        tokens=round(runs * steps * batch * length),
        tokens_forwarded=round(runs * steps * batch * length),
        tokens_validation=round(runs * looks * validation * length),
    )


def _settings(tuner: Tuner) -> tuple[int, int, int, int, int] | None:
    """Steps, rows a step, runs, examples looked at, looks a run; None where the tuner does not have them."""
    steps, batch = getattr(tuner, "steps", None), getattr(tuner, "batch_size", None)
    if type(steps) is not int or type(batch) is not int or isinstance(getattr(tuner, "with_", None), Mapping):
        return None
    rates: Any = getattr(tuner, "learning_rate", None)
    tried = len(rates) if isinstance(rates, list | tuple) else 1
    every = getattr(tuner, "evaluate_every", 0)
    looks = steps // every if type(every) is int and every else int(tried > 1)
    runs = tried + (bool(getattr(tuner, "refit", False)) and looks > 0)
    validation = getattr(tuner, "validation", 0)
    return steps, batch, runs, validation if type(validation) is int else 0, looks


def _mean_length(pool: Sequence[Example], resources: TuningResources) -> float:
    """Tokens of a prompt without demonstrations and its answer."""
    some = pool[:MEASURED]
    renderer = resources.renderer
    texts = [renderer.prompt(e.query, ()).text + renderer.answer(e.target, query=e.query) for e in some]
    return sum(len(resources.tokenizer.encode(text)) for text in texts) / max(len(some), 1)
