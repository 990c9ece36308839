"""Scores relative to those of the label alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from icl.components import MethodDefaults, check_choice, check_flag
from icl.labels import LABELLED, NORMALISE, Normalise, choose, label_texts, longest, normalised, renderer_of
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Outcome, Query, ScoreRequest, Scores


@methods.register(
    "pmi",
    paper="Holtzman et al. 2021, Surface Form Competition: "
    "Why the Highest Probability Answer Isn't Always Right",
)
class PMI(MethodDefaults):
    """Domain-conditional pointwise mutual information: argmax over y of P(y | x) / P(y | domain).

    The domain prompt is the task's own prompt with `null_text` in place of every input (choices
    stay), so that what is left of the score is due to the input. The authors' few-shot code puts
    no demonstrations into the domain prompt; `null_demonstrations: true` puts the query's in.
    `normalise`: "sum" as in the paper, or "mean" over a label's tokens. Ties go to the label that
    stands first; a margin below 1e-4 nats is flagged near_tie.
    """

    kinds = LABELLED

    def __init__(
        self, *, null_text: str = "...", null_demonstrations: bool = False, normalise: Normalise = "sum"
    ) -> None:
        if not isinstance(null_text, str):
            raise ValueError(f"null_text is {null_text!r}; allowed: a text")
        check_flag("null_demonstrations", null_demonstrations)
        check_choice("normalise", normalise, NORMALISE)
        self.null_text = null_text
        self.null_demonstrations = null_demonstrations
        self.normalise = normalise

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """Two requests: every label after the prompt, and after the domain prompt."""
        renderer = renderer_of(resources)
        labels, answers = label_texts(query, resources)
        reserve = longest(answers, resources)
        prompt = renderer.prompt(query, demonstrations, reserve=reserve)
        # The id too: a renderer must not be able to tell one query's domain prompt from another's.
        null_query = replace(query, id="", inputs=dict.fromkeys(query.inputs, self.null_text))
        shown = [d for d in demonstrations if d.example.id in prompt.demonstrations]
        null_prompt = renderer.prompt(null_query, shown if self.null_demonstrations else (), reserve=reserve)
        scores, null_scores = yield [
            ScoreRequest(prompt.text, answers),
            ScoreRequest(null_prompt.text, answers),
        ]
        assert isinstance(scores, Scores)
        assert isinstance(null_scores, Scores)
        given = normalised(scores, self.normalise)
        null = normalised(null_scores, self.normalise)
        label_scores = {label: a - b for label, a, b in zip(labels, given, null, strict=True)}
        best, margin, flags = choose(label_scores)
        details = {
            "margin": margin,
            "logprobs": dict(zip(labels, given, strict=True)),
            "null_logprobs": dict(zip(labels, null, strict=True)),
        }
        return Outcome(best, prompt, label_scores=label_scores, flags=flags, details=details)
