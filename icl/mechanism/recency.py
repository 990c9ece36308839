"""Do answers lean towards the label at the end of the prompt, and does calibration take that away?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from icl.components import check_number
from icl.conversation import converse
from icl.errors import unknown_name
from icl.labels import label_probabilities
from icl.mechanism.contract import Decoder, Found, Report, Step, Work, studies
from icl.mechanism.shared.labelled import (
    Material,
    balanced,
    check_labelled,
    check_task_name,
    demonstrations,
    pace_of,
)
from icl.mechanism.shared.recency import CONTROL, PLAIN, WITHHELD, Arranged, arranged, read
from icl.protocols import Method, methods
from icl.tasks import TaskData
from icl.types import Example, Outcome


def calibrations() -> tuple[str, ...]:
    """The names of all calibrations there are."""
    return tuple(n for n in methods if methods.entry(n).factory.__module__.startswith("icl.calibration."))


@studies.register(
    "recency",
    paper="Zhao et al. 2021, Calibrate Before Use: Improving Few-Shot Performance of Language Models",
)
class Recency:
    """Do answers lean towards the label at the end of the prompt, before and after calibration?

    The same demonstrations, with the examples of a label once at the end and once at the beginning: how much
    more often is the label answered, and how much higher is its score? Controls: the same with the labels of
    the demonstrations withheld, and pmi, whose prior has not seen the demonstrations.

    task: by name or file, with labels. shots: demonstrations, as many of each label; at least one. sets: how
    often they are drawn; intervals are over sets. queries: of the test split, the same for every set. pool:
    what demonstrations are drawn from. calibrations: names, each with its defaults.
    """

    needs_model: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {"sets": 10, "queries": 300, "pool": 2048},
    }

    def __init__(
        self,
        *,
        task: str = "sst2",
        shots: int = 4,
        sets: int = 8,
        queries: int = 32,
        pool: int = 512,
        calibrations: Sequence[str] = ("contextual", "domain_context", "batch", CONTROL),
    ) -> None:
        check_task_name(task)
        for name, value, low in (
            ("shots", shots, 2),
            ("sets", sets, 2),
            ("queries", queries, 2),
            ("pool", pool, 2),
        ):
            check_number(name, value, low=low, whole=True)
        check_calibrations(calibrations)
        self.task = task
        self.shots = shots
        self.sets = sets
        self.queries = queries
        self.pool = pool
        self.calibrations = tuple(calibrations)
        self._pace: float | None = None

    def tasks(self) -> tuple[str, ...]:
        """The one."""
        return (self.task,)

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        """ConfigError for a task without labels, with more labels than demonstrations, or with too few
        rows."""
        check_labelled("recency", self.task, tasks, shots=self.shots, queries=self.queries, pool=self.pool)

    def steps(self) -> tuple[Step, ...]:
        """One a set of demonstrations."""
        needed = ("task", "shots", "queries", "pool", "calibrations")
        return tuple(
            Step(f"set {at + 1}", self.queries, "queries", needed, after=()) for at in range(self.sets)
        )

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        if self._pace is None:  # all steps are alike
            material = self._material(work)
            sets = self._drawn(step, work, material)
            self._pace = pace_of(lambda count: self._asked(material, sets, count), self.queries)
        return self._pace

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """Shares, probabilities, scores and accuracies by method, order and label. ContextOverflow, before
        anything is asked, for a prompt that is too long."""
        material = self._material(work)
        found = self._asked(material, self._drawn(step, work, material), self.queries)
        work.progress(step.units)
        return found

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        return read([found[step.name] for step in self.steps() if step.name in found])

    def _material(self, work: Work) -> Material:
        return Material.of(work, self.task, pool=self.pool, queries=self.queries)

    def _drawn(self, step: Step, work: Work, material: Material) -> Arranged:
        draw = work.generator("recency demonstrations", step.name)
        return arranged(balanced(material.pool, material.labels, self.shots, draw), material.labels)

    def _asked(self, material: Material, sets: Arranged, count: int) -> dict[str, Any]:
        """Every method under every order, all in one conversation, so that what they share is forwarded
        once."""
        resources, queries = material.resources, material.queries[:count]
        assert resources.model is not None
        named = {name: methods.create(name).fit(material.pool, resources) for name in self._methods}
        rows: list[tuple[str, Method, tuple[Example, ...]]] = [
            (name, method, order) for name, method in named.items() for order in sets.orders
        ]
        rows += [(WITHHELD, named[PLAIN], withheld(order)) for order in sets.orders]
        talks = [
            method.solve(query.query, demonstrations(order), resources)
            for _, method, order in rows
            for query in queries
        ]
        said = iter(converse(talks, resources.model))
        measured: dict[str, list[dict[str, Any]]] = {}
        for name, method, _ in rows:
            outcomes = method.finish([next(said) for _ in queries])  # a batch is the queries under one order
            measured.setdefault(name, []).append(summary(outcomes, queries, material.labels))
        return {
            "labels": list(material.labels),
            "orders": [[example.id for example in order] for order in sets.orders],
            "shown": [[example.target for example in order] for order in sets.orders],
            "last": list(sets.last),
            "first": list(sets.first),
            "queries": len(queries),
            "methods": measured,
        }

    @property
    def _methods(self) -> tuple[str, ...]:
        return (PLAIN, *self.calibrations)


def check_calibrations(given: object) -> None:
    """ValueError for what is no list of names of calibrations, each once."""
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"calibrations is {given!r}; allowed: a list of names: {', '.join(calibrations())}")
    for name in given:
        if name not in calibrations():
            raise ValueError(f"calibrations: {unknown_name('calibration', str(name), calibrations())}")
    if len(set(given)) < len(given):
        raise ValueError(f"calibrations is {list(given)!r}; allowed: each name once")


def withheld(order: Sequence[Example]) -> tuple[Example, ...]:
    """The same texts in the same places, and a question mark for every label."""
    return tuple(replace(example, target="?", accepted=()) for example in order)


def summary(outcomes: Sequence[Outcome], queries: Sequence[Example], labels: Sequence[str]) -> dict[str, Any]:
    """By label: the share of queries that it is answered to, its mean probability, and its mean score less
    that of all labels (nats, where scores are log-probabilities); and the accuracy."""
    rows = np.array([[outcome.label_scores[label] for label in labels] for outcome in outcomes])
    chances = [label_probabilities(outcome.label_scores) for outcome in outcomes]
    answers = [outcome.answer for outcome in outcomes]
    return {
        "share": [answers.count(label) / len(answers) for label in labels],
        "probability": [float(np.mean([one[label] for one in chances])) for label in labels],
        "score": (rows - rows.mean(axis=1, keepdims=True)).mean(axis=0).tolist(),
        "accuracy": float(np.mean([a in q.golds for a, q in zip(answers, queries, strict=True)])),
    }
