"""A pool made larger by examples of the model's own, kept when their label is worth their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from icl.components import check_flag, check_number
from icl.errors import ConfigError
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import positions_by_label, take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import Carved, Scorer, Trial, carve, model_of, need_labels
from icl.selectors.shared.writing import (
    WITH_LABELS,
    check_field,
    check_inner,
    check_sampling,
    different,
    drafts_of,
    lines_before,
    written_field,
)
from icl.types import Demonstration, Example, GenerateRequest, Query, TaskKind


@dataclass(frozen=True, slots=True)
class _Judged:
    """A written example with its pointwise V-information, in nats, and its label's threshold."""

    example: Example
    pvi: float
    threshold: float

    @property
    def kept(self) -> bool:
        return self.pvi >= self.threshold


@selectors.register(  # type: ignore[arg-type]  # `needs` is a property: it depends on `selector`
    "pvi",
    paper="Lin et al. 2023, Selective In-Context Data Augmentation for Intent Detection using Pointwise "
    "V-Information",
)
class PVI:
    """Examples that the model writes join the pool when their PVI passes a threshold of their class.

    For every label the model is shown `seeds` examples of it and writes `per_label` more: one input,
    `field` (None: the last; the others come from a seed), sampled with `temperature` and `top_p`, at
    most `max_tokens`. PVI(x, y) = log P(y | x) - log P(y | no input), in nats over the task's labels,
    after `shots` demonstrations that take turns among the labels. Kept: PVI >= `threshold`, a number, or
    None: the mean PVI of the class over `validation` real examples held out (the paper's). Then
    `selector` chooses from the pool with what was kept, or with `originals` false from that alone.

    The paper fine-tunes a classifier to measure PVI; here the language model itself measures it in
    context. Needs labels that can be asked for (classification, boolean). Cost: labels * per_label
    samples, two score requests for each and for every validation example; once.
    """

    kinds: frozenset[TaskKind] = WITH_LABELS
    example_parameters: ClassVar[dict[str, Any]] = {"per_label": 3, "seeds": 2, "shots": 3, "validation": 4}

    def __init__(
        self,
        *,
        per_label: int = 50,
        seeds: int = 10,
        field: str | None = None,
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_tokens: int = 64,
        shots: int = 4,
        threshold: float | None = None,
        validation: int = 100,
        originals: bool = True,
        selector: str = "knn",
    ) -> None:
        check_number("per_label", per_label, low=1, whole=True)
        check_number("seeds", seeds, low=1, whole=True)
        check_field(field)
        check_sampling(max_tokens, temperature, top_p)
        check_number("shots", shots, low=0, whole=True)
        if threshold is not None:
            check_number("threshold", threshold)
        check_number("validation", validation, low=1, whole=True)
        check_flag("originals", originals)
        check_inner(selector)
        self.per_label = per_label
        self.seeds = seeds
        self.field = field
        self.temperature = temperature
        self.top_p = top_p
        self.max_tokens = max_tokens
        self.shots = shots
        self.threshold = threshold
        self.validation = validation
        self.originals = originals
        self.selector = selector

    @property
    def needs(self) -> frozenset[str]:
        """The model, a renderer, and what the inner selector needs."""
        return frozenset({"model", "renderer"}) | selectors.create(self.selector).needs

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Writes, judges and filters examples, and fits the inner selector on the larger pool.

        ConfigError for a task without labels to ask for, a label without an example, or a pool too
        small for validation.
        """
        need_labels("pvi", resources.task, self.kinds)
        self._resources = resources
        self._model = model_of("pvi", resources)
        self._scorer = Scorer("pvi", resources)
        self._field = written_field("pvi", resources.task, self.field)
        candidates = Candidates(pool, resources.duplicate_threshold)
        carved = carve("pvi", candidates, self.validation, resources, balanced=True)
        written = self._write(pool, carved)
        judged = self._judge(written, pool, carved)
        self.judged = {entry.example.id: entry for entry in judged}
        kept = [entry.example for entry in judged if entry.kept]
        self._share = len(kept) / len(judged) if judged else 0.0
        self._pool = [*pool, *kept] if self.originals else kept
        if not self._pool:
            raise ConfigError(
                f"selector 'pvi': none of the {len(judged)} examples that the model wrote passed the "
                "threshold of its class, and originals is false"
            )
        self._inner = selectors.create(self.selector).fit(self._pool, resources)
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """What the inner selector chooses. ConfigError as it raises it for k beyond its pool."""
        if k > len(self._pool):
            raise ConfigError(
                f"{k} demonstrations asked for, but selector 'pvi' has {len(self._pool)} examples, "
                f"{sum(entry.kept for entry in self.judged.values())} of them written by the model"
            )
        rows = self._inner.select(queries, k)
        return [tuple(self._explained(demonstration) for demonstration in row) for row in rows]

    def _explained(self, demonstration: Demonstration) -> Demonstration:
        entry = self.judged.get(demonstration.example.id)
        why = {**demonstration.why, "written_by": "pool" if entry is None else self._model.name}
        if entry is not None:
            text = entry.example.inputs[self._field]
            why |= {"pvi": entry.pvi, "threshold": entry.threshold, "written": text}
        return replace(demonstration, why={**why, "share_kept": self._share})

    def _write(self, pool: Sequence[Example], carved: Carved) -> list[Example]:
        """New examples, label by label; duplicates of the pool and of one another left out."""
        task, requests, starts = self._resources.task, [], []
        for label in task.labels:
            mine = [pool[at] for at in carved.shown if pool[at].target == label]
            if not mine:
                held = sum(pool[at].target == label for at in carved.held)
                raise ConfigError(
                    f"selector 'pvi': the pool has no example of label {label!r} to start from"
                    + (f": all {held} are held out for validation; set validation to less" if held else "")
                )
            order = self._resources.generator("selectors.pvi.seeds", label).permutation(len(mine))
            shown = [mine[at] for at in order[: self.seeds]]
            blocks = [
                f"{lines_before(e.inputs, self._field)}{self._field}: {e.inputs[self._field]}" for e in shown
            ]
            head = f'Every {self._field} below is "{task.verbalise(label)}".'
            last = f"{lines_before(shown[-1].inputs, self._field)}{self._field}:"
            requests.append(
                GenerateRequest(
                    "\n\n".join([head, *blocks, last]),
                    n=self.per_label,
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    top_p=self.top_p,
                    stop=("\n",),
                    seed=self._resources.seed,
                )
            )
            starts.append(shown[-1])
        drafts = []
        for label, start, generation in zip(task.labels, starts, self._model.generate(requests), strict=True):
            drafts += drafts_of(start, self._field, label, f"written/{label}", generation, self._model.name)
        return [e for e, _ in different(drafts, list(pool), self._resources.duplicate_threshold)]

    def _judge(self, written: Sequence[Example], pool: Sequence[Example], carved: Carved) -> list[_Judged]:
        labels = self._resources.task.labels
        order = self._resources.generator("selectors.pvi.shots").permutation(len(carved.shown))
        shown = [pool[carved.shown[at]] for at in order]
        turns = take_turns(positions_by_label(shown, labels))
        demonstrations = tuple(shown[at] for at in turns[: self.shots])
        real = [pool[at] for at in carved.held] if self.threshold is None else []
        values = self._pvi([*written, *real], demonstrations)
        thresholds = dict.fromkeys(labels, self.threshold)
        if self.threshold is None:
            measured = list(zip(real, values[len(written) :], strict=True))
            everything = float(np.mean([value for _, value in measured]))
            for label in labels:
                own = [value for example, value in measured if example.target == label]
                # A class without a held-out example is held to the mean of all.
                thresholds[label] = float(np.mean(own)) if own else everything
        return [
            _Judged(example, value, float(thresholds[example.target] or 0.0))
            for example, value in zip(written, values, strict=False)
        ]

    def _pvi(self, examples: Sequence[Example], shown: tuple[Example, ...]) -> list[float]:
        """log P(y | x) - log P(y | no input) of each, in nats, normalised over the labels."""
        blanks = [replace(e, id=f"blank-{e.target}", inputs=dict.fromkeys(e.inputs, "")) for e in examples]
        verdicts = self._scorer.verdicts([Trial(shown, example) for example in [*examples, *blanks]])
        logs = [float(np.log(max(v.label_probabilities[v.gold], 1e-300))) for v in verdicts]
        return [
            given - null for given, null in zip(logs[: len(examples)], logs[len(examples) :], strict=True)
        ]
