"""Scoring each label after the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from icl.components import MethodDefaults, check_choice
from icl.labels import LABELLED, NORMALISE, Normalise, choose, label_texts, longest, normalised, renderer_of
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Outcome, Query, ScoreRequest, Scores


@methods.register("direct", paper="Brown et al. 2020, Language Models are Few-Shot Learners")
class Direct(MethodDefaults):
    """The label whose verbaliser is most probable after the prompt: argmax over y of P(y | x).

    Multiple choice compares the letters. `normalise`: "sum" compares log-probabilities of whole
    labels; "mean" divides by their number of tokens. Ties go to the label that stands first in
    the task; a margin below 1e-4 nats is flagged near_tie.
    """

    kinds = LABELLED

    def __init__(self, *, normalise: Normalise = "sum") -> None:
        check_choice("normalise", normalise, NORMALISE)
        self.normalise = normalise

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """One request: the prompt with every label after it."""
        renderer = renderer_of(resources)
        labels, answers = label_texts(query, resources)
        prompt = renderer.prompt(query, demonstrations, reserve=longest(answers, resources))
        (scores,) = yield [ScoreRequest(prompt.text, answers)]
        assert isinstance(scores, Scores)
        label_scores = dict(zip(labels, normalised(scores, self.normalise), strict=True))
        best, margin, flags = choose(label_scores)
        return Outcome(best, prompt, label_scores=label_scores, flags=flags, details={"margin": margin})
