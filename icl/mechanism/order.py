"""How much does the order of a few demonstrations matter, and does entropy tell good orders?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any, ClassVar

import numpy as np

from icl.components import check_flag, check_number
from icl.mechanism.contract import Decoder, Found, Report, Step, Work, studies
from icl.mechanism.shared.labelled import (
    Material,
    balanced,
    check_labelled,
    check_task_name,
    demonstrations,
    pace_of,
)
from icl.mechanism.shared.orders import read
from icl.orderers.global_entropy import GlobalEntropy
from icl.orderers.local_entropy import LocalEntropy
from icl.orderers.shared.label_scores import label_logprobs
from icl.tasks import TaskData
from icl.tasks.duplicates import DuplicateIndex
from icl.types import Example

MOST = 5
"""Demonstrations, all of whose orders are asked."""


@studies.register(
    "order",
    paper="Lu et al. 2022, Fantastically Ordered Prompts and Where to Find Them: "
    "Overcoming Few-Shot Prompt Order Sensitivity",
)
class Order:
    """How much does the order of demonstrations matter, and does entropy tell good orders?

    All orders of the same demonstrations, the same queries: the spread of accuracy and of the shares of
    answers over orders, beside the spread that the noise of so small a test set alone would give. And the
    entropy of answers to unlabelled inputs of the pool (GlobalE, LocalE) against accuracy, beside orders
    drawn by lot.

    task: by name or file, with labels. shots: demonstrations, 2 to 5: all their orders are asked. sets: how
    often they are drawn. balanced: as many of each label; else drawn by lot. queries: of the test split, the
    same for every set. probes: inputs of the pool by which entropy is measured. pool: what demonstrations and
    probes are drawn from. keep: orders of highest entropy. resamples: how often answers are dealt anew.
    """

    needs_model: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {"sets": 5, "queries": 256, "probes": 48, "pool": 2048, "balanced": False},
    }

    def __init__(
        self,
        *,
        task: str = "sst2",
        shots: int = 4,
        sets: int = 2,
        balanced: bool = True,
        queries: int = 40,
        probes: int = 12,
        pool: int = 512,
        keep: int = 4,
        resamples: int = 2000,
    ) -> None:
        check_task_name(task)
        check_number("shots", shots, low=2, high=MOST, whole=True)
        check_flag("balanced", balanced)
        for name, value, low in (
            ("sets", sets, 1), ("queries", queries, 2), ("probes", probes, 2), ("keep", keep, 1),
            ("resamples", resamples, 100),
        ):  # fmt: skip
            check_number(name, value, low=low, whole=True)
        check_number("pool", pool, low=shots + probes, whole=True)
        self.task = task
        self.shots = shots
        self.sets = sets
        self.balanced = balanced
        self.queries = queries
        self.probes = probes
        self.pool = pool
        self.keep = keep
        self.resamples = resamples
        self._pace: float | None = None

    def tasks(self) -> tuple[str, ...]:
        """The one."""
        return (self.task,)

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        """ConfigError for a task without labels, with too few rows, or, balanced, more labels than
        demonstrations."""
        check_labelled(
            "order", self.task, tasks,
            shots=self.shots, queries=self.queries, pool=self.pool,
            each=self.balanced, instead=", or balanced: false",
        )  # fmt: skip

    def steps(self) -> tuple[Step, ...]:
        """For each set the orders that begin with each of its demonstrations, which share the most."""
        units = len(list(permutations(range(self.shots - 1)))) * (self.queries + self.probes)
        needed = ("task", "shots", "balanced", "queries", "probes", "pool")
        return tuple(
            Step(f"set {number + 1} from {first + 1}", units, "prompts", needed, after=())
            for number in range(self.sets)
            for first in range(self.shots)
        )

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        if self._pace is None:  # all steps are alike
            material = self._material(work)
            shown, probes = self._drawn(step, work, material)
            items = self.queries + self.probes
            self._pace = pace_of(
                lambda count: self._asked(material, [shown], probes[:1], material.queries[:count]), items
            )
        return self._pace

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """Answers, whether they are right, and entropies, order by order. ContextOverflow, before anything
        is asked, for a prompt that is too long."""
        material = self._material(work)
        shown, probes = self._drawn(step, work, material)
        first = int(step.name.split()[3]) - 1
        orders = [order for order in permutations(range(self.shots)) if order[0] == first]
        arranged = [tuple(shown[at] for at in order) for order in orders]
        found = self._asked(material, arranged, probes, material.queries)
        work.progress(step.units)
        return {"orders": [list(order) for order in orders]} | found

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        sets: dict[int, list[Found]] = {}
        for step in self.steps():
            if step.name in found:
                sets.setdefault(int(step.name.split()[1]), []).append(found[step.name])
        whole = {number: parts for number, parts in sets.items() if len(parts) == self.shots}
        return read(whole, self.keep, self.resamples)

    def _material(self, work: Work) -> Material:
        return Material.of(work, self.task, pool=self.pool, queries=self.queries)

    def _drawn(
        self, step: Step, work: Work, material: Material
    ) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """(demonstrations, probes), the same for all steps of a set; no probe is a demonstration."""
        draw = work.generator("order demonstrations", step.name.split()[1])
        if self.balanced:
            shown = balanced(material.pool, material.labels, self.shots, draw)
        else:
            shown = tuple(material.pool[at] for at in draw.permutation(len(material.pool))[: self.shots])
        seen = DuplicateIndex(shown, 1.0)
        others = [example for example in material.pool if not seen.matches(example)]
        return shown, tuple(others[at] for at in draw.permutation(len(others))[: self.probes])

    def _asked(
        self,
        material: Material,
        orders: list[tuple[Example, ...]],
        probes: tuple[Example, ...],
        queries: tuple[Example, ...],
    ) -> dict[str, Any]:
        """Everything in one call of the model."""
        items = (*queries, *probes)
        asks = [(item.query, demonstrations(order)) for order in orders for item in items]
        scored = np.array(label_logprobs(asks, material.resources, "sum"))
        table = scored.reshape(len(orders), len(items), len(material.labels))
        answers = table[:, : len(queries)].argmax(axis=2)
        chances = np.exp(table[:, len(queries) :])
        return {
            "shown": [[example.id for example in order] for order in orders],
            "labels": list(material.labels),
            "last": [order[-1].target for order in orders],
            "answers": answers.tolist(),
            "right": [
                [int(material.labels[a] in q.golds) for a, q in zip(row, queries, strict=True)]
                for row in answers
            ],
            "global": [GlobalEntropy.measure(one) for one in chances],
            "local": [LocalEntropy.measure(one) for one in chances],
        }
