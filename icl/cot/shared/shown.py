"""Demonstrations that a method brings itself, and what it may not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from icl.cot.shared.chain import Chain, ChainMethod, Chains, Decoding, Reading, read_chain
from icl.errors import ConfigError
from icl.labels import renderer_of
from icl.protocols import Resources
from icl.tasks.duplicates import DuplicateIndex
from icl.types import Demonstration, Dropped, Example, Generation, Query


class OwnDemonstrations:
    """The same examples for every query, but never the query itself or a duplicate of it."""

    def __init__(self, examples: Sequence[Example], duplicate_threshold: float) -> None:
        self.examples = tuple(examples)
        self._duplicates = DuplicateIndex(self.examples, duplicate_threshold)

    def show(self, query: Query) -> Shown:
        """What the query is shown, and what is kept from it."""
        copies = self._duplicates.matches(query)
        kept = [Demonstration(e) for e in self.examples if e.id not in copies]
        dropped = [Dropped(e.id, "the query itself, or a duplicate") for e in self.examples if e.id in copies]
        return Shown(tuple(kept), tuple(dropped))


@dataclass(frozen=True, slots=True)
class Shown:
    """Demonstrations in prompt order, and those left out with the reason."""

    kept: tuple[Demonstration, ...]
    dropped: tuple[Dropped, ...] = ()


@runtime_checkable
class ShowingMethod(ChainMethod, Protocol):
    """A method that shows demonstrations, so that they can be varied."""

    def shown(self, query: Query, demonstrations: Sequence[Demonstration]) -> Shown:
        """What would stand in the query's prompt."""
        ...

    def written(self, query: Query, shown: Shown, resources: Resources, decoding: Decoding) -> Chains:
        """Chains after a prompt that shows `shown`."""
        ...


def has_rationale(example: Example) -> bool:
    """Whether it can be shown as a chain of thought."""
    return bool(example.rationale and example.rationale.strip())


def with_rationale(demonstrations: Sequence[Demonstration]) -> Shown:
    """Those that have a rationale; the others left out."""
    kept = tuple(d for d in demonstrations if has_rationale(d.example))
    without = [d.example.id for d in demonstrations if not has_rationale(d.example)]
    return Shown(kept, tuple(Dropped(name, "no rationale") for name in without))


@dataclass(frozen=True, slots=True)
class Writing:
    """How a chain of one stage is written and read."""

    max_tokens: int
    stop: tuple[str, ...]
    reading: Reading
    opening: str = ""
    """What the answer begins with, e.g. " Let's think step by step."."""
    style: Literal["rationale", "closing", "answer"] = "rationale"
    """What follows each demonstration's query."""
    wanted: int = 0
    """Demonstrations that the method meant to show; chains after fewer are flagged."""


def write_chains(
    query: Query, shown: Shown, resources: Resources, decoding: Decoding, writing: Writing
) -> Chains:
    """Demonstrations with their rationales, the query, and `decoding.n` chains after it."""
    prompt = renderer_of(resources).prompt(
        query, shown.kept, style=writing.style, reserve=writing.max_tokens, suffix=writing.opening
    )
    prompt = replace(prompt, dropped=(*shown.dropped, *prompt.dropped))
    (generation,) = yield [decoding.request(prompt.text, writing.max_tokens, writing.stop, resources.seed)]
    assert isinstance(generation, Generation)
    chains: list[Chain] = [
        read_chain(sample, prompt, resources.task, query, writing.reading) for sample in generation.samples
    ]
    if len(shown.kept) + len(shown.dropped) >= writing.wanted:
        return chains
    return [replace(chain, flags=(*chain.flags, "fewer_demonstrations")) for chain in chains]


def require_rationales(pool: Sequence[Example], resources: Resources, method: str, *, drop: bool) -> None:
    """ConfigError where the pool cannot give chains of thought; `drop` lets some be without."""
    without = [example.id for example in pool if not has_rationale(example)]
    if not without or (drop and len(without) < len(pool)):
        return
    mend = "manual: true for the published demonstrations, or prompts: <file>"
    if len(without) < len(pool):
        mend = f"missing: drop to leave them out, {mend}"
    raise ConfigError(
        f"task {resources.task.name!r}: {len(without)} of {len(pool)} pool examples have no rationale "
        f"(the first: {without[0]!r}), which method {method!r} shows; set {mend}"
    )
