"""Label probabilities under given demonstrations, many prompts in one call of the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icl.errors import ConfigError
from icl.labels import LABELLED, Normalise, label_texts, longest, normalised, renderer_of
from icl.protocols import LanguageModel, Resources
from icl.types import Demonstration, Query, ScoreRequest, Task

Ask = tuple[Query, Sequence[Demonstration]]
"""A query and its demonstrations in prompt order."""


def model_of(resources: Resources) -> LanguageModel:
    """The model; ConfigError where the caller gave none."""
    if resources.model is None:
        raise ConfigError("this orderer asks the model: Resources.model is missing")
    return resources.model


def check_labelled(task: Task, orderer: str) -> None:
    """ConfigError for a task without labels to compare."""
    if task.kind not in LABELLED:
        raise ConfigError(
            f"orderer {orderer!r} and task {task.name!r} do not fit: it compares labels, and a task of kind "
            f"{task.kind} has none. Allowed kinds: {', '.join(sorted(LABELLED))}"
        )


def label_logprobs(
    asks: Sequence[Ask], resources: Resources, normalise: Normalise
) -> list[NDArray[np.float64]]:
    """For each ask [labels] log-probabilities in the order of `icl.labels.options`, normalised over
    the labels; all in one call of the model."""
    from scipy.special import log_softmax

    renderer, model = renderer_of(resources), model_of(resources)
    requests = []
    for query, demonstrations in asks:
        _, answers = label_texts(query, resources)
        prompt = renderer.prompt(query, demonstrations, reserve=longest(answers, resources))
        requests.append(ScoreRequest(prompt.text, answers, relative=True))
    scores = model.score(requests) if requests else []
    return [log_softmax(np.array(normalised(one, normalise), dtype=np.float64)) for one in scores]
