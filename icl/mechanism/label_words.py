"""Does label information flow into label words first, and out of them to the answer later?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from icl.components import check_number
from icl.errors import ConfigError
from icl.mechanism.contract import Decoder, Found, Report, Step, Work, studies
from icl.mechanism.shared.anchors import Marked, blocked, marked, saliency
from icl.mechanism.shared.flows import flows
from icl.mechanism.shared.heads import HeadReader
from icl.mechanism.shared.label_words import read
from icl.mechanism.shared.labelled import (
    Material,
    balanced,
    check_labelled,
    check_task_name,
    shuffled_labels,
)
from icl.tasks import TaskData

CHUNK = 8
"""Prompts of a step."""


@studies.register(
    "label_words",
    paper="Wang et al. 2023, Label Words are Anchors: An Information Flow Perspective for Understanding "
    "In-Context Learning",
)
class LabelWords:
    """Does label information flow into label words in early layers, and out of them in late ones?

    flow: the saliency |A * dL/dA| of attention, and attention itself, by layer: from the text before into
    label words (S_wp), from label words to the end (S_pq), elsewhere (S_ww). Controls: random words in the
    place of label words, and demonstrations with one another's labels. blocking: what answers become when
    label words see nothing before them, or are seen by nothing after them, in the first or the last layers,
    beside random words.

    task: by name or file, with labels that begin with different tokens; of a label of several tokens the
    first counts. shots: demonstrations, as many of each label; at least one. prompts: each of another query
    and other demonstrations; intervals are over prompts. pool: what demonstrations are drawn from.
    blocked_layers: at either end.
    """

    needs_model: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {},
        "paper": {"shots": 2, "prompts": 1000, "pool": 2048},
    }

    def __init__(
        self,
        *,
        task: str = "sst2",
        shots: int = 4,
        prompts: int = 24,
        pool: int = 512,
        blocked_layers: int = 5,
    ) -> None:
        check_task_name(task)
        for name, value, low in (("shots", shots, 2), ("prompts", prompts, 2), ("pool", pool, 2)):
            check_number(name, value, low=low, whole=True)
        check_number("blocked_layers", blocked_layers, low=1, whole=True)
        self.task = task
        self.shots = shots
        self.prompts = prompts
        self.pool = pool
        self.blocked_layers = blocked_layers

    def tasks(self) -> tuple[str, ...]:
        """The one."""
        return (self.task,)

    def check(self, model: Decoder | None, tasks: Mapping[str, TaskData]) -> None:
        """ConfigError for a task without labels, with more labels than demonstrations, or with too few
        rows; ModelError for a model whose heads cannot be read."""
        check_labelled(
            "label_words", self.task, tasks, shots=self.shots, queries=self.prompts, pool=self.pool
        )
        if model is not None:
            layers = HeadReader(model.network).layers
            if 2 * self.blocked_layers > layers:
                raise ConfigError(
                    f"study 'label_words': blocked_layers is {self.blocked_layers}, at either end of "
                    f"a model of {layers} layers; allowed: from 1 to {layers // 2}"
                )

    def steps(self) -> tuple[Step, ...]:
        """Some prompts at a time."""
        starts = range(0, self.prompts, CHUNK)
        sizes = [min(CHUNK, self.prompts - start) for start in starts]
        needed = ("task", "shots", "prompts", "pool")
        return tuple(
            Step(f"{what} {at + 1}", size, "prompts", parameters, after=())
            for what, parameters in (("flow", needed), ("blocking", (*needed, "blocked_layers")))
            for at, size in enumerate(sizes)
        )

    def pace(self, step: Step, work: Work) -> float:
        """See Study."""
        began = time.perf_counter()
        self._prompt(step, 0, work, self._material(work), self._reader(work))
        return time.perf_counter() - began

    def run(self, step: Step, work: Work) -> dict[str, Any]:
        """What each prompt gives. ContextOverflow, before anything is run, for a prompt that is too long."""
        material, reader = self._material(work), self._reader(work)
        self._check_prompts(step, work, material)
        rows = []
        for at in range(step.units):
            rows.append(self._prompt(step, at, work, material, reader))
            work.progress(at + 1)
        return {"labels": list(material.labels), "layers": reader.layers, "prompts": rows}

    def report(self, found: Mapping[str, Found]) -> Report:
        """See Study."""
        parts = {step: found[step.name] for step in self.steps() if step.name in found}
        done = [{**part, "what": step.name.split()[0]} for step, part in parts.items()]
        return read(done, self.blocked_layers)

    def _material(self, work: Work) -> Material:
        return Material.of(work, self.task, pool=self.pool, queries=self.prompts)

    @staticmethod
    def _reader(work: Work) -> HeadReader:
        assert work.model is not None
        return HeadReader(work.model.network)

    def _marked(self, step: Step, at: int, work: Work, material: Material) -> tuple[Marked, Marked]:
        """A prompt, and the same with the labels of its demonstrations shuffled."""
        number = (int(step.name.split()[1]) - 1) * CHUNK + at
        draw = work.generator("label words", str(number))
        shown = balanced(material.pool, material.labels, self.shots, draw)
        dealt = shuffled_labels(shown, draw)
        query = material.queries[number]
        return marked(material, query, shown, draw), marked(material, query, dealt, draw)

    def _check_prompts(self, step: Step, work: Work, material: Material) -> None:
        for at in range(step.units):
            self._marked(step, at, work, material)

    def _prompt(
        self, step: Step, at: int, work: Work, material: Material, reader: HeadReader
    ) -> dict[str, Any]:
        plain, shuffled = self._marked(step, at, work, material)
        query = {"tokens": len(plain.ids), "gold": plain.gold, "label_tokens": plain.longest}
        if step.name.startswith("blocking"):
            return query | {"blocked": blocked(reader, plain, self.blocked_layers)}
        own, other = saliency(reader, plain), saliency(reader, shuffled)
        tables: dict[str, Any] = {}
        for name in ("saliency", "attention"):
            seen, dealt = getattr(own, name), getattr(other, name)
            rows = {
                "labels": flows(seen, plain.words),
                "random": flows(seen, plain.others),
                "shuffled": flows(dealt, shuffled.words),
            }
            tables[name] = {
                kind: [[float(f"{v:.6g}") for v in row] for row in table] for kind, table in rows.items()
            }
        right = {
            name: int(np.argmax(one.logits)) == plain.gold
            for name, one in (("labels", own), ("shuffled", other))
        }
        return query | tables | {"right": right}
