"""Multiple-choice questions to a judge's model: P(choice) from the log-probabilities of its answers.

Nothing is parsed: the answers to a question compete with one another and with nothing else, as labels do
in `direct`. A head that questions share is text in front of them, so that an engine forwards it once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icl.judging import TOO_LONG, Bench, Verdict
from icl.types import Response, ScoreRequest, Scores

NEAR = 1e-4
"""A margin below which a decision is flagged near_tie."""
ENDS = 8
"""More tokens than any tokenizer puts around a text."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with its answers, label -> the words that stand for it."""

    text: str
    """Up to where the answer begins."""
    answers: Mapping[str, str]

    def request(self, bench: Bench, chat: bool) -> ScoreRequest:
        """Plain, or as the user's turn of a chat. ModelError where the model has no chat template."""
        if chat:
            prompt = bench.tokenizer.chat([{"role": "user", "content": self.text}])
            return ScoreRequest(prompt, tuple(self.answers.values()), relative=True)
        space = "" if self.text.endswith(("：", "\n")) else " "
        return ScoreRequest(self.text, tuple(f"{space}{a}" for a in self.answers.values()), relative=True)

    def probabilities(self, response: Response) -> dict[str, float]:
        """Label -> P(choice), which add up to 1."""
        assert isinstance(response, Scores)
        return dict(zip(self.answers, shares(response.logprobs), strict=True))


def shares(logprobs: Sequence[float]) -> list[float]:
    """Probabilities relative to one another; alike where all are -inf."""
    best = max(logprobs)
    if math.isinf(best):
        return [1 / len(logprobs)] * len(logprobs)
    weights = [math.exp(value - best) for value in logprobs]
    return [weight / sum(weights) for weight in weights]


def too_long(requests: Sequence[ScoreRequest], bench: Bench, room: int = 1) -> bool:
    """Whether one of them does not fit into the judge's context, its longest answer, or `room` tokens that
    are to be written, included. A text has at most as many tokens as bytes, and a few that mark its ends."""
    for request in requests:
        text = str(request.prompt) + max(map(str, request.continuations), key=len)
        if len(text.encode("utf-8", "surrogatepass")) + ENDS + room <= bench.context_length:
            continue
        if len(bench.tokenizer.encode(text)) + room - 1 > bench.context_length:
            return True
    return False


def ungraded(flag: str = TOO_LONG, output: str = "") -> Verdict:
    """The verdict of an item that could not be graded: no score, no label, and why."""
    return Verdict(None, None, flags=(flag,), output=output)


def margin_of(probabilities: Mapping[str, float]) -> tuple[str, float, tuple[str, ...]]:
    """The most probable label, how far it is ahead of the next, and the flags; ties go to the first."""
    ranked = sorted(probabilities, key=lambda label: -probabilities[label])
    margin = probabilities[ranked[0]] - probabilities[ranked[1]]
    return ranked[0], margin, ("near_tie",) if margin < NEAR else ()
