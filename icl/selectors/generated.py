"""Demonstrations that the model writes for each query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from icl.components import check_number, if_said
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import take_turns
from icl.selectors.shared.scoring import model_of, need_labels
from icl.selectors.shared.writing import (
    WITH_LABELS,
    check_field,
    check_sampling,
    different,
    drafts_of,
    lines_before,
    logprob_per_token,
    written_field,
)
from icl.types import Demonstration, Example, GenerateRequest, Query, Sample, TaskKind

PLACES = ("{text}", "{label}")


@selectors.register(
    "generated",
    paper="Kim et al. 2022, Self-Generated In-Context Learning: Leveraging Auto-regressive Language "
    "Models as a Demonstration Generator (SG-ICL)",
)
class Generated:
    """For each query and label the model writes demonstrations itself (SG-ICL); no pool is used.

    `prompt` asks for one: {text} is the query's input, {label} the label's words, {field} the name
    of the input; the query's other inputs stand before it, a line each. `field`: the input to write
    (None: the task's last, e.g. the hypothesis after the premise). Sampled with `temperature` and
    `top_p`, at most `max_tokens`, one line; `oversample` times as many as needed are drawn at once,
    since empty ones, the query's duplicates and one another's are dropped. Labels take turns, in a
    random order for each query; a query whose samples do not suffice gets fewer than k.

    The paper's prompt and sampling were not at hand: these are ours. Needs labels that can be asked
    for (classification, boolean). Cost: for each query one request a label, of
    oversample * k / labels samples.
    """

    kinds: frozenset[TaskKind] = WITH_LABELS
    needs: frozenset[str] = frozenset({"model"})
    example_parameters: ClassVar[dict[str, Any]] = {"oversample": 3}

    def __init__(
        self,
        *,
        prompt: str = 'Generate a {field}: {text}\nGenerate a "{label}" {field}:',
        field: str | None = None,
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_tokens: int = 64,
        oversample: int = 2,
    ) -> None:
        if not isinstance(prompt, str) or not all(place in prompt for place in PLACES):
            raise ValueError(f"prompt is {prompt!r}; allowed: a text that holds {' and '.join(PLACES)}")
        check_field(field)
        check_sampling(max_tokens, temperature, top_p)
        check_number("oversample", oversample, low=1, whole=True)
        self.prompt = prompt
        self.field = field
        self.temperature = temperature
        self.top_p = top_p
        self.max_tokens = max_tokens
        self.oversample = oversample

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Nothing is learnt from the pool. ConfigError for a task without labels to ask for."""
        need_labels("generated", resources.task, self.kinds)
        self._model = model_of("generated", resources)
        self._field = written_field("generated", resources.task, self.field)
        self._resources = resources
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """k demonstrations written for each query, in one call for all of them."""
        if not queries or k <= 0:
            return [() for _ in queries]
        labels = self._resources.task.labels
        n = math.ceil(k / len(labels)) * self.oversample
        requests = [self._request(query, label, n) for query in queries for label in labels]
        generations = self._model.generate(requests)
        selected = []
        for row, query in enumerate(queries):
            turns = self._resources.generator("selectors.generated", query.id).permutation(len(labels))
            rankings = []
            for at in turns.tolist():
                name = f"{query.id}/{labels[at]}"
                generation = generations[row * len(labels) + at]
                rankings.append(drafts_of(query, self._field, labels[at], name, generation, self._model.name))
            places = take_turns([[turn * n + at for at in range(n)] for turn in range(len(rankings))])
            drafts = [rankings[place // n][place % n] for place in places]
            kept = different(drafts, [query], self._resources.duplicate_threshold, k)
            selected.append(tuple(self._demonstration(*draft) for draft in kept))
        return selected

    def _request(self, query: Query, label: str, n: int) -> GenerateRequest:
        """The query first and the label last: the labels' requests share the rest as their prefix."""
        words = {
            "{field}": self._field,
            "{label}": self._resources.task.verbalise(label),
            "{text}": query.inputs[self._field],
        }
        prompt = self.prompt
        # The query's text last: what stands in it is never a place to fill.
        for place, word in words.items():
            prompt = prompt.replace(place, word)
        return GenerateRequest(
            lines_before(query.inputs, self._field) + prompt,
            n=n,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=("\n",),
            seed=self._resources.seed,
        )

    def _demonstration(self, example: Example, sample: Sample) -> Demonstration:
        why: dict[str, float | str] = {
            "written": example.inputs[self._field],
            "label": example.target,
            "logprob_per_token": "not said"
            if (value := if_said(logprob_per_token(sample))) is None
            else value,
        }
        return Demonstration(example, None, why)
