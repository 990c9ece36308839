"""What a scoring method compares: the options of a query, their scores, and the choice among them.

Shared by `icl.methods` and `icl.calibration`, so that every scoring method reserves room, breaks
ties and flags near ties in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from icl.errors import ConfigError
from icl.protocols import Renderer, Resources
from icl.types import Query, Scores, Task, TaskKind, Text

Normalise = Literal["sum", "mean"]
NORMALISE: tuple[Normalise, ...] = ("sum", "mean")
LABELLED: frozenset[TaskKind] = frozenset({"classification", "boolean", "multiple_choice"})
NEAR_TIE = 1e-4
"""Margin in nats below which another kernel, batch or precision may turn the answer."""


def options(task: Task, query: Query) -> tuple[str, ...]:
    """The targets a query can have: the task's labels, or the letters of its choices, in order.

    Raises ConfigError where there is nothing to choose from.
    """
    if task.kind == "multiple_choice":
        found, missing = tuple(query.choices), f"query {query.id!r} has no choices"
    else:
        found, missing = task.labels, "it has no labels"
    if not found:
        raise ConfigError(f"task {task.name!r} cannot be answered by scoring: {missing}")
    return found


def label_texts(query: Query, resources: Resources) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options of a query and, in their order, the texts that are scored for them.

    Where the text of one begins another's ("1" and "10"), nothing would end the shorter one, and the
    sum over its tokens could never be below the longer one's: each is then followed by what stands
    after an answer in a demonstration (`Template.label_end`).
    """
    renderer = renderer_of(resources)
    labels = options(resources.task, query)
    texts = tuple(renderer.answer(label) for label in labels)
    wanted = resources.task.template.label_end
    if wanted == "always" or (wanted == "auto" and _one_begins_another(texts)):
        texts = tuple(text + renderer.end for text in texts)
    return labels, texts


def _one_begins_another(texts: Sequence[str]) -> bool:
    ranked = sorted(texts)  # what begins with a text stands directly behind it
    return any(after.startswith(before) for before, after in pairwise(ranked))


def renderer_of(resources: Resources) -> Renderer:
    """The renderer; ConfigError where the caller gave none."""
    if resources.renderer is None:
        raise ConfigError("this method writes prompts: Resources.renderer is missing")
    return resources.renderer


def longest(continuations: Sequence[Text], resources: Resources) -> int:
    """Tokens to keep free in the context window for the longest continuation.

    An upper bound: a tokenizer that adds a BOS counts it. 0 without a model: nothing to fit into.
    """
    if resources.model is None:
        return 0
    encode = resources.model.tokenizer.encode
    return max((len(encode(c)) if isinstance(c, str) else len(c) for c in continuations), default=0)


def normalised(scores: Scores, normalise: Normalise) -> tuple[float, ...]:
    """One number a continuation: log-probability of all its tokens, or the mean of one token."""
    return scores.logprobs if normalise == "sum" else scores.mean_logprobs


def choose(label_scores: Mapping[str, float]) -> tuple[str, float | None, tuple[str, ...]]:
    """The best option, its margin over the second best, and the flags.

    Ties go to the option that stands first. The margin is None with a single option.
    """
    ranked = sorted(label_scores, key=lambda label: -label_scores[label])
    best = ranked[0]
    if len(ranked) == 1:
        return best, None, ()
    first, second = label_scores[best], label_scores[ranked[1]]
    margin = 0.0 if first == second else first - second
    return best, margin, ("near_tie",) if margin < NEAR_TIE else ()


def label_probabilities(label_scores: Mapping[str, float]) -> dict[str, float]:
    """Label -> probability: scores that are shares already (none negative, their sum 1) as they are, all
    others through the softmax. {} without scores, or where none is finite."""
    scores = list(label_scores.values())
    highest = max(scores, default=-math.inf)
    if not math.isfinite(highest) or any(map(math.isnan, scores)):
        return {}
    if min(scores) >= 0 and math.isclose(sum(scores), 1.0, abs_tol=1e-6):
        return dict(label_scores)
    weights = [math.exp(score - highest) for score in scores]
    total = sum(weights)
    return {label: weight / total for label, weight in zip(label_scores, weights, strict=True)}
