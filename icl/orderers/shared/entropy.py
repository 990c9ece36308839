"""What GlobalE and LocalE share: write probes, score them under every candidate order, keep the best.

Two calls of the model in all: one writes the probes of every set and order, one scores every
order x probe of every set.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_number
from icl.labels import NORMALISE, Normalise, renderer_of
from icl.orderers.shared.label_scores import Ask, label_logprobs, model_of
from icl.orderers.shared.permutations import AmongOrders, Order, Wanted, candidate_orders
from icl.orderers.shared.probes import check_probes, collect, probe_prompt, template_ids
from icl.orderers.shared.sets import DemonstrationSet, distinct_sets
from icl.protocols import Resources
from icl.types import Demonstration, GenerateRequest, Query, TaskKind

log = logging.getLogger("icl")


class EntropyOrderer(AmongOrders, ABC):
    """Orders by an entropy over probes. Subclasses give `name` and `measure`."""

    name: str
    needs: frozenset[str] = frozenset({"model", "renderer"})
    kinds: frozenset[TaskKind] = frozenset({"classification", "boolean"})

    # The conformance suite's fake model writes one word.
    example_parameters: ClassVar[dict[str, Any]] = {"min_words": 1, "permutations": 6}

    def __init__(
        self,
        *,
        keep: int = 4,
        permutations: Wanted = 24,
        temperature: float = 2.0,
        top_k: int = 20,
        max_tokens: int = 128,
        no_repeat_ngram: Sequence[int] = (3, 5),
        min_words: int = 5,
        max_probes: int | None = None,
        normalise: Normalise = "sum",
    ) -> None:
        check_number("keep", keep, low=1, whole=True)
        super().__init__(permutations)
        check_number("temperature", temperature, low=0)
        check_number("top_k", top_k, low=0, whole=True)
        check_number("max_tokens", max_tokens, low=1, whole=True)
        if not isinstance(no_repeat_ngram, list | tuple) or not no_repeat_ngram:
            raise ValueError(f"no_repeat_ngram is {no_repeat_ngram!r}; allowed: a list of lengths, 0 = off")
        for length in no_repeat_ngram:
            check_number("no_repeat_ngram", length, low=0, whole=True)
        check_number("min_words", min_words, low=1, whole=True)
        if max_probes is not None:
            check_number("max_probes", max_probes, low=1, whole=True)
        check_choice("normalise", normalise, NORMALISE)
        self.keep = keep
        self.temperature = temperature
        self.top_k = top_k
        self.max_tokens = max_tokens
        self.no_repeat_ngram = no_repeat_ngram
        self.min_words = min_words
        self.max_probes = max_probes
        self.normalise = normalise

    @staticmethod
    @abstractmethod
    def measure(probabilities: NDArray[np.float64]) -> float:
        """The entropy, in nats, of [probes, labels] label probabilities; higher is better."""

    def order(
        self,
        demonstrations: Sequence[Sequence[Demonstration]],
        queries: Sequence[Query],
        resources: Resources,
    ) -> list[Order]:
        """One permutation a query. Sets `reasons`: entropy, its rank among the candidates, probes.

        A set for which no probe can be read keeps the selector's order, said in a warning and in
        `reasons`. ConfigError for a task without labels or with choices.
        """
        check_probes(resources, self.name)
        orders: list[Order] = [tuple(range(len(chosen))) for chosen in demonstrations]
        self.reasons: list[Mapping[str, Any]] = [{} for _ in queries]
        sets = distinct_sets(demonstrations)
        candidates = [self._candidates(one, resources) for one in sets]
        probes = self._probes(sets, candidates, resources)
        entropies = self._entropies(sets, candidates, probes, resources)
        for one, tried, values, texts in zip(sets, candidates, entropies, probes, strict=True):
            if not texts:
                log.warning(
                    "%s: no probe of %d words was written; %d queries keep the selector's order",
                    self.name,
                    self.min_words,
                    len(one.members),
                )
            # Rounded, so that a batch's last bits cannot turn two candidates around.
            ranked = sorted(range(len(tried)), key=lambda at: (-round(values[at], 9), at))
            for query, canonical in one.members:
                if not texts:
                    self.reasons[query] = {"probes": 0}
                    continue
                stream = resources.generator(f"orderers.{self.name}.keep", queries[query].id)
                rank = int(stream.integers(min(self.keep, len(tried))))
                best = ranked[rank]
                orders[query] = tuple(canonical[at] for at in tried[best])
                self.reasons[query] = {
                    "entropy": values[best],
                    "rank": rank + 1,
                    "permutations": len(tried),
                    "lowest_entropy": min(values),
                    "highest_entropy": max(values),
                    "probes": len(texts),
                }
        return orders

    def _candidates(self, one: DemonstrationSet, resources: Resources) -> list[Order]:
        return candidate_orders(
            len(one.demonstrations),
            self.permutations,
            lambda: resources.generator(f"orderers.{self.name}.permutations", one.name),
        )

    def _probes(
        self, sets: Sequence[DemonstrationSet], candidates: Sequence[Sequence[Order]], resources: Resources
    ) -> list[list[Query]]:
        """The probes of each set, written under all its candidate orders, in one call."""
        shape, renderer = check_probes(resources, self.name), renderer_of(resources)
        model = model_of(resources)
        form = template_ids(resources.task, model.tokenizer)
        requests, counts = [], []
        for one, tried in zip(sets, candidates, strict=True):
            prompts = [
                probe_prompt(resources.task, renderer, one.arranged(order), self.max_tokens)
                for order in tried
            ]
            requests += [
                GenerateRequest(
                    prompt,
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    top_k=self.top_k,
                    seed=resources.seed,
                    no_repeat_ngram=length,
                    template_ids=form,
                )
                for length in self.no_repeat_ngram
                for prompt in prompts
            ]
            counts.append(len(prompts) * len(self.no_repeat_ngram))
        written = iter(model.generate(requests) if requests else [])
        found = []
        for one, count in zip(sets, counts, strict=True):
            texts = [next(written).samples[0].text for _ in range(count)]
            found.append(self._some(collect(texts, shape, self.min_words), one, resources))
        return found

    def _some(self, probes: list[Query], one: DemonstrationSet, resources: Resources) -> list[Query]:
        if self.max_probes is None or len(probes) <= self.max_probes:
            return probes
        stream = resources.generator(f"orderers.{self.name}.probes", one.name)
        taken = stream.choice(len(probes), size=self.max_probes, replace=False)
        return [probes[at] for at in sorted(taken.tolist())]

    def _entropies(
        self,
        sets: Sequence[DemonstrationSet],
        candidates: Sequence[Sequence[Order]],
        probes: Sequence[Sequence[Query]],
        resources: Resources,
    ) -> list[list[float]]:
        """For each set the entropy of each candidate order; every order x probe in one call."""
        asks: list[Ask] = [
            (probe, one.arranged(order))
            for one, tried, texts in zip(sets, candidates, probes, strict=True)
            for order in tried
            for probe in texts
        ]
        scored = iter(label_logprobs(asks, resources, self.normalise))
        return [
            [self.measure(np.exp([next(scored) for _ in texts])) for _ in tried]
            if texts
            else [0.0] * len(tried)
            for tried, texts in zip(candidates, probes, strict=True)
        ]
