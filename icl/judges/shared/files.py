"""Files of a judge's questions: shipped ones by name, others by path; strict, with file, line and key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from icl.components import check_texts
from icl.errors import ConfigError, Problems, unknown_name
from icl.tasks.strict_yaml import read_yaml, validate

DATA = Path(__file__).parents[1] / "data"
F = TypeVar("F", bound=BaseModel)
Name = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
Sentence = Annotated[str, Field(strict=True, min_length=1, max_length=4000)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def find_file(kind: Literal["rules", "rubrics"], named: str) -> Path:
    """A shipped file by its name, or a path, in which environment variables are put in.

    Raises ConfigError with the shipped names where there is neither.
    """
    shipped = {path.stem: path for path in sorted((DATA / kind).glob("*.yaml"))}
    if named in shipped:
        return shipped[named]
    path = Path(os.path.expandvars(named)).expanduser()
    if os.path.isfile(path):
        return path
    if named.endswith((".yaml", ".yml")) or os.sep in named:
        raise ConfigError(f"{named}: no such file of {kind}; shipped are: {', '.join(shipped)}")
    raise ConfigError(f"{unknown_name(f'file of {kind}', named, shipped)}; or a path to a .yaml file")


def read_part(model: type[F], path: Path) -> F:
    """The file as a `model`. ConfigError with file, line, key and what is allowed, of the first problem."""
    data, lines = read_yaml(path)
    try:
        return validate(model, data, lines, str(path))
    except Problems as several:
        raise several.found[0] from several


def check_named(items: tuple[tuple[str, float], ...], what: str) -> None:
    """ValueError unless names differ and weights leave something to be weighed."""
    names = [name for name, _ in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the {what} {twice!r} is there twice")
    if sum(weight for _, weight in items) <= 0:
        raise ValueError(f"the weights of all {len(items)} {what}s sum to zero: one must be above 0")


class Asked(Protocol):
    """What a question is about: a rule or a quality."""

    @property
    def name(self) -> str:
        """Its name in the file."""
        ...

    @property
    def weight(self) -> float:
        """Its share in a score."""
        ...


A = TypeVar("A", bound=Asked)


def check_source(file: str, only: Sequence[str] | None) -> None:
    """ValueError unless `file` can name a file and `only` is None or texts."""
    if not isinstance(file, str) or not file:
        raise ValueError(f"file is {file!r}; allowed: a shipped file's name, or a path")
    if only is not None:
        check_texts("only", only)


def chosen(parts: Sequence[A], only: Sequence[str] | None, what: str) -> tuple[A, ...]:
    """The parts of a file that `only` names, None: all, in the file's order. what: "rule of 'house'".

    Raises ConfigError for a name that is not there, and where no part with a weight is left.
    """
    known = [part.name for part in parts]
    for name in only or ():
        if name not in known:
            raise ConfigError(f"only: {unknown_name(what, name, known)}")
    left = tuple(part for part in parts if only is None or part.name in only)
    if not any(part.weight for part in left):
        raise ConfigError(f"only: leaves no {what} with a weight above 0")
    return left


class Rule(Part):
    """One rule and the question about it; yes: the answer breaks it."""

    name: Name
    rule: Sentence
    question: Sentence | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """P(broken) from which it counts as broken; None: the judge's."""
    weight: Weight = 1.0
    """Share in the score."""


class Shown(Part):
    """A worked example of one rule, in the head of every question."""

    question: Sentence
    answer: Annotated[str, Field(strict=True, max_length=4000)]
    rule: str
    broken: Annotated[bool, Field(strict=True)]


class RulesFile(Part):
    """Rules in the order in which they are asked."""

    name: Name
    description: str = ""
    language: Literal["en", "zh"] = "en"
    instruction: Sentence | None = None
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    examples: tuple[Shown, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> RulesFile:
        check_named(tuple((rule.name, rule.weight) for rule in self.rules), "rule")
        known = [rule.name for rule in self.rules]
        for example in self.examples:
            if example.rule not in known:
                raise ValueError(f"examples: {unknown_name('rule', example.rule, known)}")
        return self
