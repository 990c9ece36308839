"""Worlds with a rule that the model follows: what a selector that learns from it must find."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from icl.encoders.hashed import HashEncoder
from icl.engine.fake import FakeModel
from icl.prompts import PromptRenderer
from icl.protocols import Resources, Selector
from icl.seeding import generator
from icl.types import Example, Query, Task, Template

LABELS = ("negative", "positive")
STYLES, TOPICS = 2, 6
STYLE_WORDS, TOPIC_WORDS = 60, 30


@dataclass(frozen=True, slots=True)
class World:
    """A pool, the queries that are asked of it, a model with a rule, and how far a row follows the rule."""

    pool: list[Example]
    queries: list[Query]
    resources: Resources
    model: FakeModel
    follows: Callable[[Query, Example], bool]

    def share(self, selector: Selector, k: int) -> float:
        """Of the demonstrations that a fitted selector shows for the queries, those that follow the rule."""
        rows = selector.select(self.queries, k)
        pairs = zip(self.queries, rows, strict=True)
        return float(np.mean([self.follows(query, d.example) for query, row in pairs for d in row]))


def resources_of(score: Callable[[str, str], float], seed: int) -> tuple[Resources, FakeModel]:
    task = Task("planted", "classification", Template("Text: {{ text }}\nLabel:"), ("text",), labels=LABELS)
    model = FakeModel(score_with=score)
    renderer = PromptRenderer(task=task, tokenizer=model.tokenizer, context_length=model.context_length)
    return Resources(task, seed=seed, model=model, encoder=HashEncoder(), renderer=renderer), model


def style_of(text: str) -> str:
    return next(word for word in text.split() if word.startswith("style"))[:6]


def styled(seed: int, size: int = 200, asked: int = 60, helps: float = 2.0) -> World:
    """Texts of 4 words of a style and 8 of a topic; the more of a prompt's examples are in the style
    of its question, the more probable is every answer. The encoder hashes whole words, so
    that two texts of a style look alike only where they share some of its words."""
    stream = generator(seed, "planted.styled")

    def write() -> str:
        style, topic = stream.integers(STYLES), stream.integers(TOPICS)
        words = [f"style{style}x{n}" for n in stream.choice(STYLE_WORDS, 4, replace=False)]
        words += [f"topic{topic}x{n}" for n in stream.choice(TOPIC_WORDS, 8, replace=False)]
        return " ".join(stream.permutation(words).tolist())

    def score(prompt: str, continuation: str) -> float:
        *shown, last = prompt.split("Text:")[1:]
        share = np.mean([style_of(text) == style_of(last) for text in shown]) if shown else 0.0
        noise = generator(0, "planted.noise", prompt + continuation).normal()
        return -3.0 + helps * float(share) + float(noise)

    texts = [write() for _ in range(size + asked)]
    pool = [Example(f"p{n}", {"text": text}, LABELS[n % 2]) for n, text in enumerate(texts[:size])]
    queries = [Query(f"q{n}", {"text": text}) for n, text in enumerate(texts[size:])]
    resources, model = resources_of(score, seed)

    def follows(query: Query, example: Example) -> bool:
        return style_of(query.text) == style_of(example.text)

    return World(pool, queries, resources, model, follows)


def doubting(seed: int, size: int = 96, every: int = 6) -> World:
    """One example in `every` is one that the model doubts; each of those in a prompt makes a fifth of
    the items right. A random four are all doubted in less than one of a thousand draws."""
    stream = generator(seed, "planted.doubting")
    doubted = np.zeros(size, dtype=bool)
    doubted[stream.permutation(size)[: size // every]] = True

    def score(prompt: str, continuation: str) -> float:
        if "N/A" in prompt or not continuation.startswith(" "):
            return math.log(0.5)
        *shown, last = (int(part.split()[0]) for part in prompt.split("item")[1:])
        if shown:
            share = 0.9 if (last // 2) % 5 < sum(doubted[at] for at in shown) else 0.1
        else:
            share = 0.49 if doubted[last] else 0.05 + 0.1 * ((last * 7) % 10) / 10
        return math.log(share if continuation.strip() == LABELS[last % 2] else 1 - share)

    pool = [Example(f"p{n}", {"text": f"item{n} n{n}"}, LABELS[n % 2]) for n in range(size)]
    resources, model = resources_of(score, seed)

    def follows(query: Query, example: Example) -> bool:
        return bool(doubted[int(example.id[1:])])

    return World(pool, [Query("q", {"text": "something new"})], resources, model, follows)
