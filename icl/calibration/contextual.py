"""Label scores freed of what the demonstrations alone make likely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from icl.calibration.shared.reference import by_label, log_mean, measure
from icl.components import MethodDefaults, check_choice, check_texts
from icl.errors import ConfigError
from icl.labels import LABELLED, NORMALISE, Normalise, choose
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Outcome, Query

Form = Literal["scale", "shift"]
FORMS: tuple[Form, ...] = ("scale", "shift")
MultiToken = Literal["sequence", "refuse"]
MULTI_TOKEN: tuple[MultiToken, ...] = ("sequence", "refuse")


@methods.register(
    "contextual",
    paper="Zhao et al. 2021, Calibrate Before Use: Improving Few-Shot Performance of Language Models",
)
class Contextual(MethodDefaults):
    """Contextual calibration: argmax of W p, with W = diag(p_cf)^-1 from content-free inputs.

    p_cf is the mean, normalised over the labels, of the label probabilities that the same prompt
    gives when every input is one of `content_free` ("N/A", "", "[MASK]"; choices stay).
    `form`: "scale" as above (b = 0), compared as log p - log p_cf; "shift", the paper's form for
    generation (W = I, b = -p_cf), here over the labels, compared as p - p_cf.

    The paper's labels are single tokens. `multi_token`: "sequence" extends it to labels of several
    by their sequence log-probabilities (`normalise`: "sum" over the tokens, or "mean"); "refuse"
    raises ConfigError at the first such label. Ties go to the label that stands first; a margin
    below 1e-4 is flagged near_tie.
    """

    kinds = LABELLED

    def __init__(
        self,
        *,
        content_free: Sequence[str] = ("N/A", "", "[MASK]"),
        form: Form = "scale",
        multi_token: MultiToken = "sequence",
        normalise: Normalise = "sum",
    ) -> None:
        check_texts("content_free", content_free)
        if not content_free:
            raise ValueError("content_free is empty; allowed: a list of at least one text")
        check_choice("form", form, FORMS)
        check_choice("multi_token", multi_token, MULTI_TOKEN)
        check_choice("normalise", normalise, NORMALISE)
        self.content_free = content_free
        self.form = form
        self.multi_token = multi_token
        self.normalise = normalise

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """One request for the query and one for each content-free input."""
        references = [dict.fromkeys(query.inputs, text) for text in self.content_free]
        seen = yield from measure(query, references, demonstrations, resources, self.normalise)
        if self.multi_token == "refuse" and seen.tokens > 1:
            raise ConfigError(
                f"method 'contextual' with multi_token: refuse needs labels of one token; task "
                f"{resources.task.name!r} has one of {seen.tokens}. Allowed: multi_token: sequence"
            )
        prior = log_mean(seen.reference)
        if self.form == "scale":
            scores = seen.logprobs - prior
        else:
            from scipy.special import softmax

            scores = softmax(seen.logprobs) - np.exp(prior)
        label_scores = by_label(seen.labels, scores)
        best, margin, flags = choose(label_scores)
        details = {
            "margin": margin,
            "logprobs": by_label(seen.labels, seen.logprobs),
            "content_free": by_label(seen.labels, np.exp(prior)),
        }
        return Outcome(best, seen.prompt, label_scores=label_scores, flags=flags, details=details)
