"""Label scores freed of what words of the domain make likely."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np

from icl.calibration.shared.reference import by_label, log_mean, measure
from icl.components import MethodDefaults, check_choice, check_number
from icl.labels import LABELLED, NORMALISE, Normalise, choose
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Outcome, Query

Form = Literal["paper", "code"]
FORMS: tuple[Form, ...] = ("paper", "code")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Chinese and Japanese characters."""


@methods.register("domain_context", paper="Fei et al. 2023, Mitigating Label Biases for In-context Learning")
class DomainContext(MethodDefaults):
    """Domain-context calibration: argmax of p(y) over its mean on random words of the domain.

    `texts` random texts (20) stand for every input in turn: words drawn with replacement from the
    inputs of the pool, as often as they occur there, as many as an input has on average (`words`
    sets their number). The prior is the mean over the texts of the label probabilities, each
    normalised over the labels, under the same demonstrations; choices stay.
    `form`: "paper", or "code" for what the authors' code does: probabilities are averaged as they are
    and not normalised first, so that a text after which labels are likely weighs more; words are in
    lower case, one more than the mean without its fraction, and " ." ends a text.
    Uses no labels of the pool. `normalise`: labels of several tokens by "sum" or "mean"
    log-probability. Ties go to the label that stands first; a margin below 1e-4 nats is flagged
    near_tie.
    """

    kinds = LABELLED

    def __init__(
        self,
        *,
        texts: int = 20,
        words: int | None = None,
        form: Form = "paper",
        normalise: Normalise = "sum",
    ) -> None:
        check_number("texts", texts, low=1, whole=True)
        if words is not None:
            check_number("words", words, low=1, whole=True)
        check_choice("form", form, FORMS)
        check_choice("normalise", normalise, NORMALISE)
        self.texts = texts
        self.words = words
        self.form = form
        self.normalise = normalise

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Draws the random texts, of every input from that input's own words."""
        drawn = {name: self._draw(pool, name, resources) for name in resources.task.inputs}
        self._references = [{name: drawn[name][at] for name in drawn} for at in range(self.texts)]
        return self

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """One request for the query and one for each random text."""
        references = [{name: texts.get(name, "") for name in query.inputs} for texts in self._references]
        seen = yield from measure(query, references, demonstrations, resources, self.normalise)
        rows = seen.reference
        if self.form == "paper":
            rows = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)
        prior = log_mean(rows)
        label_scores = by_label(seen.labels, seen.logprobs - prior)
        best, margin, flags = choose(label_scores)
        details = {
            "margin": margin,
            "logprobs": by_label(seen.labels, seen.logprobs),
            "domain": by_label(seen.labels, np.exp(prior)),
        }
        return Outcome(best, seen.prompt, label_scores=label_scores, flags=flags, details=details)

    def _draw(self, pool: Sequence[Example], name: str, resources: Resources) -> list[str]:
        found = [example.inputs[name] for example in pool if example.inputs.get(name)]
        # Scripts without spaces are drawn from by character, and joined without.
        spaced = 2 * sum(_UNSPACED.search(text) is not None for text in found) <= len(found)
        bags = [text.split() if spaced else list(text) for text in found]
        bag = [word for words in bags for word in words]
        if not bag:
            return [""] * self.texts
        code, mean = self.form == "code", len(bag) / len(bags)
        length = self.words or (int(mean) + 1 if code else max(1, round(mean)))
        stream = resources.generator("calibration.domain_context", name)
        picked = stream.integers(len(bag), size=(self.texts, length))
        texts = [(" " if spaced else "").join(bag[at] for at in row) for row in picked]
        return [f"{text.lower()} ." for text in texts] if code else texts
