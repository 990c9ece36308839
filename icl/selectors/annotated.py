"""A pool without labels, labelled by the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from icl.components import check_flag, check_number, needed
from icl.errors import ConfigError
from icl.labels import LABELLED, label_texts, longest, options
from icl.prompts.answers import equivalent, parse
from icl.protocols import Resources, selectors
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import model_of, renderer_of
from icl.selectors.shared.writing import check_inner
from icl.types import Demonstration, Example, GenerateRequest, Query, ScoreRequest

CONTENT_FREE = "N/A"


@dataclass(frozen=True, slots=True)
class _Annotation:
    """The model's target for an example; None where its output could not be read."""

    target: str | None
    confidence: float


@selectors.register("annotated")  # type: ignore[arg-type]  # `needs` is a property: it depends on `selector`
class Annotated:
    """Demonstrations from an unlabelled pool whose targets the model gives itself.

    `gold` random examples of the pool keep their labels and stand in the prompt that labels the
    rest (0: zero-shot). Labelled tasks: the most probable label, with `calibrate` relative to that of
    a content-free input; other tasks: a greedy answer, examples whose answer cannot be read are left
    out. Then `selector` chooses among the pool with the model's labels (and the `gold` ones).

    Targets and rationales of the other examples are never shown. Where they exist, their agreement
    with the model's is reported in each demonstration's why: `agreement`, the share of the pool,
    and `agrees`, the example's own. Cost: one request an example of the pool, and what `selector` asks.
    """

    example_parameters: ClassVar[dict[str, Any]] = {"gold": 2}

    def __init__(self, *, gold: int = 0, calibrate: bool = False, selector: str = "knn") -> None:
        check_number("gold", gold, low=0, whole=True)
        check_flag("calibrate", calibrate)
        check_inner(selector)
        self.gold = gold
        self.calibrate = calibrate
        self.selector = selector

    @property
    def needs(self) -> frozenset[str]:
        """The model, a renderer, and what the inner selector needs."""
        return frozenset({"model", "renderer"}) | selectors.create(self.selector).needs

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Labels the pool in one call to the model and fits the inner selector on it."""
        self._resources = resources
        self._model = model_of("annotated", resources)
        self._renderer = renderer_of("annotated", resources)
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        order = resources.generator("selectors.annotated").permutation(len(pool))[: self.gold].tolist()
        self._kept = frozenset(pool[at].id for at in order)
        shown = [Demonstration(pool[at]) for at in order]
        rest = [example for example in pool if example.id not in self._kept]
        annotations = self._annotate([example.query for example in rest], shown) if rest else []
        self._annotations = {e.id: a for e, a in zip(rest, annotations, strict=True)}
        self._agrees = {e.id: a for e in rest if (a := self._agreement(e)) is not None}
        labelled = []
        for example in pool:
            target = example.target if example.id in self._kept else self._annotations[example.id].target
            if target is not None:
                rationale = example.rationale if example.id in self._kept else None
                labelled.append(replace(example, target=target, rationale=rationale))
        if pool and not labelled:
            raise ConfigError(
                f"selector 'annotated': no answer could be read for any of the pool's {len(pool)} examples"
            )
        self._inner = selectors.create(self.selector).fit(labelled, resources)
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """What the inner selector chooses, with the model's targets. ConfigError as it raises it."""
        self._candidates.check(k)
        rows = self._inner.select(queries, k)
        return [tuple(self._explained(demonstration) for demonstration in row) for row in rows]

    @property
    def agreement(self) -> float | None:
        """Share of the model's targets that are the pool's own; None where the pool has none."""
        return float(np.mean(list(self._agrees.values()))) if self._agrees else None

    def _explained(self, demonstration: Demonstration) -> Demonstration:
        name = demonstration.example.id
        why = dict(demonstration.why)
        if name in self._kept:
            why["label_from"] = "gold"
        else:
            why |= {"label_from": "model", "confidence": self._annotations[name].confidence}
            if name in self._agrees:
                why["agrees"] = self._agrees[name]
        if self.agreement is not None:
            why["agreement"] = self.agreement
        return replace(demonstration, why=why)

    def _agreement(self, example: Example) -> float | None:
        """1 or 0; None where the example has no target of its own."""
        found, task = self._annotations[example.id].target, self._resources.task
        if not example.target:
            return None
        if task.kind in LABELLED or found is None:
            return float(found == example.target)
        return float(equivalent(found, example.target, task))

    def _annotate(self, queries: Sequence[Query], shown: Sequence[Demonstration]) -> list[_Annotation]:
        if self._resources.task.kind in LABELLED:
            return self._by_scores(queries, shown)
        task = self._resources.task
        room = task.max_answer_tokens
        separator = task.template.separator
        stop = (separator,) if separator.strip(" \t") else ()
        prompts = [self._renderer.prompt(query, shown, reserve=room).text for query in queries]
        requests = [GenerateRequest(prompt, max_tokens=room, stop=stop) for prompt in prompts]
        annotations = []
        answered = zip(queries, prompts, self._model.generate(requests), strict=True)
        for query, prompt, generation in answered:
            sample = generation.samples[0]
            cut = sample.stop_reason == "length"
            answer = parse(sample.text, task, query, cut=cut, after=prompt).answer
            mean = needed(float(sum(sample.logprobs)) / max(len(sample.logprobs), 1), "annotated")
            annotations.append(_Annotation(answer, float(np.exp(mean))))
        return annotations

    def _by_scores(self, queries: Sequence[Query], shown: Sequence[Demonstration]) -> list[_Annotation]:
        scores = self._label_scores(queries, shown)
        if self.calibrate:
            blanks = [replace(q, id="", inputs=dict.fromkeys(q.inputs, CONTENT_FREE)) for q in queries]
            priors = self._label_scores(blanks, shown)
            scores = [s - prior for s, prior in zip(scores, priors, strict=True)]
        annotations = []
        for query, row in zip(queries, scores, strict=True):
            p = np.exp(row - row.max())
            best = int(np.argmax(row))
            annotations.append(
                _Annotation(options(self._resources.task, query)[best], float(p[best] / p.sum()))
            )
        return annotations

    def _label_scores(self, queries: Sequence[Query], shown: Sequence[Demonstration]) -> list[Any]:
        """[labels] log-probabilities a query; equal prompts are asked once."""
        requests = []
        for query in queries:
            _, answers = label_texts(query, self._resources)
            prompt = self._renderer.prompt(query, shown, reserve=longest(answers, self._resources))
            requests.append(ScoreRequest(prompt.text, answers))
        unique = list(dict.fromkeys(requests))
        found = dict(zip(unique, self._model.score(unique), strict=True))
        return [np.array(found[request].logprobs) for request in requests]
