"""The nouns of judging: what is graded, what a judge says of it, and the contract of a judge."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias

from icl.protocols import Solve, Tokenizer
from icl.registry import Registry
from icl.types import Outcome, Prompt, Request, Response

TIE = "tie"
"""Label of a pair of which neither side is better, and its flag."""
UNREADABLE, TOO_LONG, POSITION = "unreadable", "too_long", "position"
"""Flags: nothing could be read in what the judge wrote; the judge's context is too short for what it would
have to read (neither has a score); the two orders of a pair disagree."""


@dataclass(frozen=True, slots=True)
class Item:
    """An answer to be graded, or a pair of them."""

    id: str
    question: str
    answer: str
    golds: tuple[str, ...] = ()
    """Answers that are right; () where nobody knows one."""
    other: str | None = None
    """The second side of a pair."""
    language: str = "en"
    """Of question and answer: judges ask in it where they have words for it, else in English."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one item."""

    score: float | None
    """0 to 1, higher is better; None where the judge gives no single number, or could not grade."""
    label: str | None
    """In a word; None where the judge could not grade."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """A label or a rule -> its probability; a judge's docstring says which."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Judges that ask for several qualities: each quality's value, 0 to 1."""
    margin: float | None = None
    """How far the decision is from another one, in probability."""
    reasons: tuple[str, ...] = ()
    """What the label rests on: names of violated rules, of qualities that decided."""
    flags: tuple[str, ...] = ()
    """unreadable, too_long, position, tie, near_tie, empty, bounded_scores."""
    output: str = ""
    """What the judge wrote, where it wrote something."""

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON; without what is empty."""
        return {key: value for key, value in asdict(self).items() if value not in ({}, (), "", None)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Verdict:
        """From plain data. TypeError or ValueError where these are no verdict."""
        score, label, margin = record.get("score"), record.get("label"), record.get("margin")
        if not (label is None or isinstance(label, str)):
            raise ValueError(f"a label that is {label!r}")
        return cls(
            None if score is None else float(score),
            label,
            {str(name): float(value) for name, value in record.get("probabilities", {}).items()},
            {str(name): float(value) for name, value in record.get("values", {}).items()},
            None if margin is None else float(margin),
            tuple(map(str, record.get("reasons", ()))),
            tuple(map(str, record.get("flags", ()))),
            str(record.get("output", "")),
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """What a judge may know of the model that it asks."""

    tokenizer: Tokenizer
    context_length: int


Grading: TypeAlias = Generator[list[Request], list[Response], Verdict]
"""One item's conversation with the judge's model: yields requests, is sent their responses in order, returns
the verdict."""


class Judge(Protocol):
    """Grades an answer, or a pair, by asking a model.

    `requires`: what an item must have ("golds", "other"). The constructor checks and stores.
    """

    requires: frozenset[str]

    @property
    def scores_labels(self) -> bool:
        """Whether it goes by log-probabilities of labels."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that a verdict may have, best first."""
        ...

    @property
    def single(self) -> bool:
        """Whether a verdict has a score, so that it can be a metric."""
        ...

    @property
    def content(self) -> str:
        """What decides verdicts beside its parameters and what it asks: thresholds and weights of a file.

        Read before a model loads. Raises ConfigError for what is wrong in it.
        """
        ...

    def grade(self, item: Item, bench: Bench) -> Grading:
        """The conversation about one item. It must not depend on any other item."""
        ...


judges: Registry[Judge] = Registry("judge", ("icl.judges",), Judge)


def as_solve(grading: Grading) -> Solve:
    """A grading for whatever drives conversations: its outcome is read by `verdict_of`."""
    verdict = yield from grading
    return Outcome(verdict.label, Prompt(""), flags=verdict.flags, details={"verdict": verdict})


def verdict_of(outcome: Outcome) -> Verdict:
    """The verdict in what `as_solve` came to, with flags that were added on the way."""
    verdict: Verdict = outcome.details["verdict"]
    fields = {name: getattr(verdict, name) for name in Verdict.__dataclass_fields__}
    return Verdict(**{**fields, "flags": outcome.flags})


def missing(judge: Judge, items: Sequence[Item]) -> str:
    """What the judge needs and an item lacks, in words with the item's id; "" where nothing is missing."""
    for item in items:
        if "golds" in judge.requires and not item.golds:
            return f"{item.id} has no gold answer to be held against"
        if "other" in judge.requires and item.other is None:
            return f"{item.id} has one side only; a pair has answer and other"
    return ""
