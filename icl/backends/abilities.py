"""What a model at hand gives, measured by asking it: the same few requests for every backend and engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from icl.errors import IclError
from icl.protocols import LanguageModel
from icl.types import GenerateRequest, Sample, ScoreRequest, Usage

PROMPT = (
    "Review: a fine film, well played.\nLabel: good\n\nReview: the plot is weak and the end a bore.\nLabel:"
)
LABELS = (" good", " bad")
LENGTH = 8
NEAR = 0.05
"""Nats between what a token had when it was written and what it has when it is scored."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Each in words; an error in its own."""

    scoring: str
    generation: str
    logprobs: str
    chat: str
    sharing: str
    determinism: str


def measure(model: LanguageModel) -> Abilities:
    """Asks for a dozen short answers. Raises nothing: what fails is said."""
    return Abilities(
        _said(lambda: _scoring(model)),
        _said(lambda: _generation(model)),
        _said(lambda: _logprobs(model)),
        _said(lambda: _chat(model)),
        _said(lambda: _sharing(model)),
        _said(lambda: _determinism(model)),
    )


def _said(look: Callable[[], str]) -> str:
    try:
        return look()
    except IclError as error:
        return f"no: {error}"


def _greedy(model: LanguageModel) -> Sample:
    (written,) = model.generate([GenerateRequest(PROMPT, max_tokens=LENGTH)])
    return written.samples[0]


def _drawn(model: LanguageModel, seed: int, n: int = 2) -> tuple[str, ...]:
    request = GenerateRequest(PROMPT, n=n, max_tokens=LENGTH, temperature=1.0, seed=seed)
    return tuple(sample.text for sample in model.generate([request])[0].samples)


def _scoring(model: LanguageModel) -> str:
    (scores,) = model.score([ScoreRequest(PROMPT, LABELS)])
    longer = model.score([ScoreRequest(PROMPT, (" good and bad", " bad"))])[0]
    if scores.bounded or longer.bounded:
        several = f"{len(longer.bounded)} of 2 longer texts"
        return f"bounds for {len(scores.bounded)} of {len(LABELS)} labels, {several}"
    return "exact, longer texts too"


def _generation(model: LanguageModel) -> str:
    texts = _drawn(model, 1, 4)
    limit = max(len(s.token_ids) for s in model.generate([GenerateRequest(PROMPT, max_tokens=3)])[0].samples)
    return f"yes, {len(set(texts))} of 4 samples differ" + ("" if limit <= 3 else ", longer than asked")


def _logprobs(model: LanguageModel) -> str:
    """The first token that was written, scored: both must be the same number."""
    sample = _greedy(model)
    if not sample.logprobs or math.isnan(sample.logprobs[0]):
        return "of texts: not said"
    ids = model.tokenizer.encode(PROMPT)
    (scores,) = model.score([ScoreRequest(ids, (sample.token_ids[:1],))])
    apart = abs(scores.logprobs[0] - sample.logprobs[0])
    return "yes, as scored" if apart <= NEAR else f"yes, {apart:.2f} nats from what is scored"


def _chat(model: LanguageModel) -> str:
    text = model.tokenizer.chat([{"role": "user", "content": "Hello"}])
    return "yes" if "Hello" in text else "the template leaves the message out"


def _sharing(model: LanguageModel) -> str:
    """Eight prompts with one beginning: tokens that a plain engine forwards, over those that were."""
    requests = [ScoreRequest(f"{PROMPT} good\n\nReview: number {n}.\nLabel:", LABELS) for n in range(8)]
    usage = Usage.total(scores.usage for scores in model.score(requests))
    return f"{usage.tokens_flat / max(usage.tokens_unique, 1):.1f}x"


def _determinism(model: LanguageModel) -> str:
    request = ScoreRequest(PROMPT, LABELS)
    first, second = (model.score([request])[0].logprobs for _ in range(2))
    apart = max(abs(a - b) for a, b in zip(first, second, strict=True))
    parts = ["scores equal" if apart == 0 else f"scores within {apart:.0e}"]
    parts.append("greedy equal" if _greedy(model).text == _greedy(model).text else "greedy differs")
    parts.append("seeds heeded" if _drawn(model, 1) == _drawn(model, 1) else "seeds not heeded")
    return ", ".join(parts)
