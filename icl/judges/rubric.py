"""Qualities of an answer on scales, each asked for apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from icl.components import check_choice, check_flag
from icl.judges.shared.choices import Choice, too_long, ungraded
from icl.judges.shared.files import (
    Name,
    Part,
    Sentence,
    Weight,
    check_named,
    check_source,
    chosen,
    find_file,
    read_part,
)
from icl.judging import Bench, Grading, Item, Verdict, judges

OVERALL = ("none", "mean", "min")
WORDS = {
    "en": (
        "You rate answers. Read the question and the answer, and give a rating.",
        "Question: ",
        "Answer: ",
        "Rating:",
    ),
    "zh": ("请为回答评级。阅读问题和回答，然后给出评级。", "问题：", "回答：", "评级："),
}
GRADED = "graded"


class Quality(Part):
    """A question with a scale: what may be answered, from worst to best."""

    name: Name
    question: Sentence
    scale: Annotated[
        tuple[Annotated[str, Field(strict=True, min_length=1, max_length=100)], ...], Field(min_length=2)
    ]
    """Labels from worst to best, evenly spaced from 0 to 1."""
    weight: Weight = 1.0
    """In a mean, where one is asked for."""

    @model_validator(mode="after")
    def _distinct(self) -> Quality:
        if len(set(self.scale)) < len(self.scale):
            raise ValueError(f"scale of {self.name!r} has a label twice: {', '.join(self.scale)}")
        return self


class RubricFile(Part):
    """Qualities in the order in which they are asked."""

    name: Name
    description: str = ""
    language: Literal["en", "zh"] = "en"
    instruction: Sentence | None = None
    qualities: Annotated[tuple[Quality, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sound(self) -> RubricFile:
        check_named(tuple((quality.name, quality.weight) for quality in self.qualities), "quality")
        return self


@judges.register(
    "rubric", paper="Askell et al. 2021, A general language assistant as a laboratory for alignment"
)
class Rubric:
    """Qualities of an answer, such as helpful, honest and harmless, each on its own scale and told apart.

    `file`: a shipped rubric (hhh, webgpt) or a path (docs/judges.md has its keys). `only`: names of
    qualities, if not all. `overall`: none, no single number; mean (weighted), min: one number out of all,
    which a metric needs. `chat`: as the user's turn of the model's chat template.

    The verdict: values, a number from 0 to 1 a quality, the expected place on its scale under P(label);
    probabilities "quality: label"; score what `overall` says, else none; label graded; margin, the smallest
    lead of a label.
    """

    requires: frozenset[str] = frozenset()
    scores_labels = True
    labels = (GRADED,)

    def __init__(
        self,
        *,
        file: str = "hhh",
        only: Sequence[str] | None = None,
        overall: str = "none",
        chat: bool = False,
    ) -> None:
        check_source(file, only)
        check_choice("overall", overall, OVERALL)
        check_flag("chat", chat)
        self.file = file
        self.only = only
        self.overall = overall
        self.chat = chat

    @property
    def single(self) -> bool:
        """See Judge."""
        return self.overall != "none"

    @property
    def content(self) -> str:
        """See Judge: the qualities that are asked."""
        return "\n".join(quality.model_dump_json() for quality in self.qualities)

    @cached_property
    def read(self) -> RubricFile:
        """The file. Raises ConfigError."""
        return read_part(RubricFile, find_file("rubrics", self.file))

    @cached_property
    def qualities(self) -> tuple[Quality, ...]:
        """Those that are asked, in the file's order. Raises ConfigError."""
        return chosen(self.read.qualities, self.only, f"quality of {self.read.name!r}")

    def grade(self, item: Item, bench: Bench) -> Grading:
        """One request a quality, all at once."""
        choices = [self._choice(item, quality) for quality in self.qualities]
        requests = [choice.request(bench, self.chat) for choice in choices]
        if too_long(requests, bench):
            return ungraded()
        responses = yield list(requests)
        values: dict[str, float] = {}
        told: dict[str, float] = {}
        leads = []
        for quality, choice, response in zip(self.qualities, choices, responses, strict=True):
            found = choice.probabilities(response)
            steps = len(quality.scale) - 1
            values[quality.name] = sum(p * at / steps for at, p in enumerate(found.values()))
            told |= {f"{quality.name}: {label}": p for label, p in found.items()}
            best, second = sorted(found.values(), reverse=True)[:2]
            leads.append(best - second)
        return Verdict(self._overall(values), GRADED, told, values, min(leads))

    def _overall(self, values: dict[str, float]) -> float | None:
        weights = {quality.name: quality.weight for quality in self.qualities}
        if self.overall == "mean":
            return sum(weights[name] * value for name, value in values.items()) / sum(weights.values())
        if self.overall == "min":
            return min(value for name, value in values.items() if weights[name])
        return None

    def _choice(self, item: Item, quality: Quality) -> Choice:
        instruction, question, answer, ask = WORDS[self.read.language]
        letters = [chr(ord("A") + at) for at in range(len(quality.scale))]
        scale = [f"{letter}. {label}" for letter, label in zip(letters, quality.scale, strict=True)]
        lines = [
            f"{self.read.instruction or instruction}\n",
            f"{question}{item.question}",
            f"{answer}{item.answer}",
            quality.question,
            *scale,
            ask,
        ]
        return Choice("\n".join(lines), dict(zip(quality.scale, letters, strict=True)))
