"""Label scores of a query beside those of queries that say nothing, under the same demonstrations."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from icl.labels import Normalise, label_texts, longest, normalised, renderer_of
from icl.protocols import Resources
from icl.types import Demonstration, Prompt, Query, Request, Response, ScoreRequest, Scores


@dataclass(frozen=True, slots=True)
class Measured:
    """What the model said of one query and of the texts it is compared with."""

    prompt: Prompt
    labels: tuple[str, ...]
    logprobs: NDArray[np.float64]
    """[labels] after the query; not normalised over the labels."""
    reference: NDArray[np.float64]
    """[references, labels] after the texts that say nothing."""
    tokens: int
    """Of the longest label."""


def measure(
    query: Query,
    references: Sequence[Mapping[str, str]],
    demonstrations: Sequence[Demonstration],
    resources: Resources,
    normalise: Normalise,
) -> Generator[list[Request], list[Response], Measured]:
    """Asks for every label after the query and after the query with each of `references` as its
    inputs (choices stay), all behind the demonstrations that fit beside the query."""
    renderer = renderer_of(resources)
    labels, answers = label_texts(query, resources)
    reserve = longest(answers, resources)
    prompt = renderer.prompt(query, demonstrations, reserve=reserve)
    shown = [d for d in demonstrations if d.example.id in prompt.demonstrations]
    # Without the id: a renderer must not be able to tell one query's reference from another's.
    empty = [replace(query, id="", inputs=inputs) for inputs in references]
    texts = [prompt.text, *(renderer.prompt(one, shown, reserve=reserve).text for one in empty)]
    responses = yield [ScoreRequest(text, answers) for text in texts]
    scores = [response for response in responses if isinstance(response, Scores)]
    rows = np.array([normalised(one, normalise) for one in scores], dtype=np.float64)
    tokens = max(len(t) for t in scores[0].token_logprobs)
    return Measured(prompt, labels, rows[0], rows[1:], tokens)


def log_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """log of the normalised mean of probabilities; [n, labels] log-probabilities -> [labels]."""
    from scipy.special import log_softmax, logsumexp

    mean: NDArray[np.float64] = log_softmax(logsumexp(rows, axis=0) - np.log(len(rows)))
    return mean


def by_label(labels: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    """label -> value, as plain numbers."""
    return dict(zip(labels, values.tolist(), strict=True))
