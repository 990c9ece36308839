"""What a model at hand gives, measured by asking it: the same few requests for every backend and engine.

Nothing is taken from what it says of itself: what is asked has answers that must fit one another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

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
WORDS = ("river", "stone", "lamp", "garden", "paper", "window", "silver", "winter", "music", "table", "green")
SHARED_WORDS, OWN_WORDS, PROMPTS = 60, 5, 8
"""Of the prompts by which sharing is measured."""
FASTER, LEAST = 1.5, 0.02
"""Times faster, and seconds less, that are no noise."""


@dataclass(frozen=True, slots=True)
class Finding:
    """In words, with the figures behind them."""

    said: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What was found; an error in its own words."""

    scoring: Finding
    generation: Finding
    logprobs: Finding
    chat: Finding
    sharing: Finding
    determinism: Finding


def measure(
    model: LanguageModel, *, clock: Callable[[], float] = time.perf_counter, draw: Random | None = None
) -> Abilities:
    """Asks for some thirty short answers. Raises nothing: what fails is said.

    draw: the words of prompts that no cache has seen, others every time where it is left out.
    """
    words = draw or Random()
    return Abilities(
        _said(lambda: _scoring(model)),
        _said(lambda: _generation(model)),
        _said(lambda: _logprobs(model)),
        _said(lambda: _chat(model)),
        _said(lambda: _sharing(model, clock, words)),
        _said(lambda: _determinism(model)),
    )


def _said(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except IclError as error:
        return Finding(f"no: {error}")


def _greedy(model: LanguageModel) -> Sample:
    (written,) = model.generate([GenerateRequest(PROMPT, max_tokens=LENGTH)])
    return written.samples[0]


def _drawn(model: LanguageModel, seed: int, n: int = 2) -> tuple[str, ...]:
    request = GenerateRequest(PROMPT, n=n, max_tokens=LENGTH, temperature=1.0, seed=seed)
    return tuple(sample.text for sample in model.generate([request])[0].samples)


def _scoring(model: LanguageModel) -> Finding:
    (scores,) = model.score([ScoreRequest(PROMPT, LABELS)])
    longer = model.score([ScoreRequest(PROMPT, (" good and bad", " bad"))])[0]
    total = sum(math.exp(value) for value in scores.logprobs)
    figures = {"probability": total}
    if not total <= 1 + NEAR:
        return Finding(f"no: probabilities of two labels add up to {total:.2f}", figures)
    if scores.bounded or longer.bounded:
        several = f"{len(longer.bounded)} of 2 longer texts"
        return Finding(f"bounds for {len(scores.bounded)} of {len(LABELS)} labels, {several}", figures)
    return Finding("exact, longer texts too", figures)


def _generation(model: LanguageModel) -> Finding:
    """Samples as many as asked and of the length asked; a stop string out of a text that is known."""
    texts = _drawn(model, 1, 4)
    short = model.generate([GenerateRequest(PROMPT, max_tokens=3)])[0].samples
    wrong = [] if len(texts) == 4 else [f"{len(texts)} samples for 4"]
    if max(len(sample.token_ids) for sample in short) > 3:
        wrong.append("longer than asked")
    text = _greedy(model).text
    middle = text[len(text) // 2 :][:1]
    if middle:
        (cut,) = model.generate([GenerateRequest(PROMPT, max_tokens=LENGTH, stop=(middle,))])
        if cut.samples[0].text != text[: text.index(middle)]:
            wrong.append("stop not heeded")
    said = ", ".join([f"yes, {len(set(texts))} of {len(texts)} samples differ", *wrong])
    return Finding(said, {"differ": len(set(texts))})


def _logprobs(model: LanguageModel) -> Finding:
    """The first token that was written, scored: both must be the same number."""
    sample = _greedy(model)
    if not sample.logprobs or math.isnan(sample.logprobs[0]):
        return Finding("of texts: not said")
    ids = model.tokenizer.encode(PROMPT)
    (scores,) = model.score([ScoreRequest(ids, (sample.token_ids[:1],))])
    apart = abs(scores.logprobs[0] - sample.logprobs[0])
    said = "yes, as scored" if apart <= NEAR else f"yes, {apart:.2f} nats from what is scored"
    return Finding(said, {"apart": apart})


def _chat(model: LanguageModel) -> Finding:
    text = model.tokenizer.chat([{"role": "user", "content": "Hello"}])
    return Finding("yes" if "Hello" in text else "the template leaves the message out")


def _sharing(model: LanguageModel, clock: Callable[[], float], draw: Random) -> Finding:
    """Prompts with one beginning: tokens that a plain engine forwards over those that were, and seconds of as
    many prompts with nothing in common over theirs. A server says no tokens, but it takes its time."""

    def words(count: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(count))

    start = words(SHARED_WORDS)
    model.score([ScoreRequest(words(OWN_WORDS), LABELS)])  # what is done once
    alike, seconds = _timed(model, [f"{start} {words(OWN_WORDS)}" for _ in range(PROMPTS)], clock)
    _, others = _timed(model, [words(SHARED_WORDS + OWN_WORDS) for _ in range(PROMPTS)], clock)
    tokens = alike.tokens_flat / max(alike.tokens_unique, 1)
    times = others / max(seconds, 1e-9)
    figures = {"tokens": tokens, "seconds": times}
    faster = times >= FASTER and others - seconds >= LEAST
    said = [f"{tokens:.1f}x fewer tokens"] * (tokens > 1.05) + [f"{times:.1f}x faster"] * faster
    return Finding(", ".join(said) or "none seen", figures)


def _timed(model: LanguageModel, prompts: Sequence[str], clock: Callable[[], float]) -> tuple[Usage, float]:
    began = clock()
    results = model.score([ScoreRequest(prompt, LABELS) for prompt in prompts])
    return Usage.total(scores.usage for scores in results), clock() - began


def _determinism(model: LanguageModel) -> Finding:
    """The same again, and among others; samples by their seed, and one of them without the others."""
    request = ScoreRequest(PROMPT, LABELS)
    others = [ScoreRequest(PROMPT[: -10 - 9 * at], LABELS) for at in range(5)]
    rows = [model.score([request])[0], model.score([request])[0], model.score([*others, request])[-1]]
    columns = list(zip(*(row.logprobs for row in rows), strict=True))
    again = max(abs(column[0] - column[1]) for column in columns)
    among = max(abs(column[0] - column[2]) for column in columns)
    parts = ["scores equal" if again == 0 else f"scores within {again:.0e}"]
    parts += [f"among others within {among:.0e}"] if among > again else []
    parts.append("greedy equal" if _greedy(model).text == _greedy(model).text else "greedy differs")
    drawn = _drawn(model, 1)
    if drawn != _drawn(model, 1):
        parts.append("seeds not heeded")
    else:
        parts.append("seeds heeded")
        alone = GenerateRequest(PROMPT, max_tokens=LENGTH, temperature=1.0, seed=1, first_sample=1)
        if model.generate([alone])[0].samples[0].text != drawn[1]:
            parts.append("samples depend on how many are asked for")
    return Finding(", ".join(parts), {"again": again, "among": among})
