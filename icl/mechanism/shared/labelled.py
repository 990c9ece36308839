"""A task with labels, written for a decoder: what studies of prompts share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from icl.errors import ConfigError
from icl.labels import label_texts, longest
from icl.mechanism.contract import Work
from icl.prompts import PromptRenderer
from icl.protocols import Resources
from icl.tasks import TaskData
from icl.types import Demonstration, Example, Query

KINDS = ("classification", "boolean")
PACED = (1, 4)
"""Units that are timed together."""
DRAWS = 20
"""Of shuffled labels, of which one is kept."""


def check_task_name(value: object) -> None:
    """ValueError unless it can be a task's name or file."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"task is {value!r}; allowed: the name or file of a task with labels")


def check_labelled(
    study: str, name: str, tasks: Mapping[str, TaskData], *, shots: int, queries: int, pool: int,
    each: bool = True, instead: str = "",
) -> None:  # fmt: skip
    """ConfigError where a task has no labels, too few rows, or, with `each`, more labels than
    demonstrations; `instead`: what else is allowed then."""
    data = tasks[name]
    if data.task.kind not in KINDS:
        raise ConfigError(
            f"study {study!r}: task {name!r} is of kind {data.task.kind}, and has no labels that are the "
            f"same for every query; allowed kinds: {', '.join(KINDS)}"
        )
    if each and shots < len(data.task.labels):
        raise ConfigError(
            f"study {study!r}: shots is {shots}, and task {name!r} has {len(data.task.labels)} labels, "
            f"each of which is shown; allowed: shots >= {len(data.task.labels)}{instead}"
        )
    split = data.split(pool=pool, test=queries, seed=0)
    if each:
        balanced(split.pool, data.task.labels, shots, np.random.default_rng(0))


@dataclass(frozen=True, slots=True)
class Material:
    """What prompts are made of, and who is asked."""

    resources: Resources
    """With the engine, and a renderer that refuses prompts that are too long."""
    pool: tuple[Example, ...]
    queries: tuple[Example, ...]

    @classmethod
    def of(cls, work: Work, name: str, *, pool: int, queries: int) -> Material:
        """Plain prompts in the task's template; the pool is drawn by the study's seed, the queries are
        always the same."""
        assert work.model is not None, "the study needs a model"
        data, model = work.tasks[name], work.model.engine()
        split = data.split(pool=pool, test=queries, seed=work.seed)
        renderer = PromptRenderer(
            task=data.task, tokenizer=model.tokenizer, context_length=model.context_length, overflow="fail"
        )
        resources = Resources(data.task, work.seed, model, renderer=renderer, pool=split.pool)
        return cls(resources, split.pool, split.test)

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the task."""
        return self.resources.task.labels

    def prompt(self, query: Query, shown: Sequence[Example]) -> str:
        """ContextOverflow where it, with the longest label, is longer than the context."""
        assert self.resources.renderer is not None
        reserve = longest(label_texts(query, self.resources)[1], self.resources)
        return self.resources.renderer.prompt(query, demonstrations(shown), reserve=reserve).text


def pace_of(ask: Callable[[int], object], units: int) -> float:
    """Seconds a unit of `units` asked together, from asking few of them: what they share is paid once."""
    seconds = []
    for count in PACED:
        began = time.perf_counter()
        ask(count)
        seconds.append(time.perf_counter() - began)
    each = max(0.0, seconds[1] - seconds[0]) / (PACED[1] - PACED[0])
    return each + max(0.0, seconds[0] - PACED[0] * each) / units


def demonstrations(shown: Sequence[Example]) -> list[Demonstration]:
    """Examples as they are shown, in their order."""
    return [Demonstration(example) for example in shown]


def balanced(
    pool: Sequence[Example], labels: Sequence[str], shots: int, draw: np.random.Generator
) -> tuple[Example, ...]:
    """`shots` different examples in random order, as many of each label as of the others; which labels
    have one more, where they cannot, is drawn too. ConfigError where the pool has too few of a label."""
    by_label: dict[str, list[Example]] = {label: [] for label in labels}
    for at in draw.permutation(len(pool)):
        by_label[pool[at].target].append(pool[at])
    turns = [labels[at] for at in draw.permutation(len(labels))]
    taken: list[Example] = []
    for at, label in enumerate(turns):
        wanted = shots // len(turns) + (at < shots % len(turns))
        if len(by_label[label]) < wanted:
            raise ConfigError(
                f"{shots} demonstrations of {len(labels)} labels need {wanted} of label {label!r}, and "
                f"the pool of {len(pool)} has {len(by_label[label])}; ask for a larger pool"
            )
        taken += by_label[label][:wanted]
    return tuple(taken[at] for at in draw.permutation(len(taken)))


def shuffled_labels(shown: Sequence[Example], draw: np.random.Generator) -> tuple[Example, ...]:
    """The same examples with one another's labels, dealt so that as many are wrong as by chance: (L - 1) / L
    of them, with L labels among the examples, or what comes nearest in a few draws. As they are where all
    have the same label."""
    labels = [example.target for example in shown]
    wanted = len(labels) * (1 - 1 / max(len(set(labels)), 1))
    best = labels
    for _ in range(DRAWS):
        dealt = [labels[at] for at in draw.permutation(len(labels))]
        if abs(_wrong(dealt, labels) - wanted) < abs(_wrong(best, labels) - wanted):
            best = dealt
    return tuple(replace(e, target=label, accepted=()) for e, label in zip(shown, best, strict=True))


def _wrong(dealt: Sequence[str], labels: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(dealt, labels, strict=True))
