"""Chains of thought: how they are asked for, what they are, and how their answers are read."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from icl.components import MethodDefaults, if_said
from icl.conversation import ask
from icl.prompts.answers import Where, audit, cut_run_on, parse
from icl.prompts.answers.parse import Rules
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.wording.triggers import announcements
from icl.protocols import LanguageModel, Method, Resources, Solve
from icl.types import (
    Demonstration,
    GenerateRequest,
    Outcome,
    Prompt,
    Query,
    Request,
    Response,
    Sample,
    Task,
    TaskKind,
    Text,
)

T = TypeVar("T")

REASONING: frozenset[TaskKind] = frozenset({"multiple_choice", "numeric", "boolean", "string"})
"""Kinds of task whose answer is worth a rationale; classification is scored, not reasoned about."""
_SENTENCE_END = lazy(r"(?<=[.!?])\s+|\n|。")
_LIST_NUMBER = lazy(r"\W*\d*\W*")
_NUMBERED = lazy(r"\bsteps?[ \t]*#?(\d+)", re.IGNORECASE)
StepUnit = Literal["line", "sentence", "step_i"]
STEP_UNITS: tuple[StepUnit, ...] = ("line", "sentence", "step_i")
RULES: tuple[Rules, ...] = ("robust", "zero_shot_cot")


@dataclass(frozen=True, slots=True)
class Decoding:
    """How many chains, drawn how. Sample i is the same whatever n and `first` it was asked with."""

    n: int = 1
    temperature: float = 0.0
    top_k: int = 0
    first: int = 0
    """Index of the first sample."""

    def request(self, prompt: Text, max_tokens: int, stop: tuple[str, ...], seed: int) -> GenerateRequest:
        """All samples of one prompt in one request."""
        return GenerateRequest(
            prompt,
            n=self.n,
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            stop=stop,
            seed=seed,
            first_sample=self.first,
        )


GREEDY = Decoding()


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain of thought with the answer that was read out of it."""

    prompt: Prompt
    text: str
    """The reasoning, up to the next question."""
    output: str
    """All that was written for it, with what was put between its stages."""
    answer: str | None
    flags: tuple[str, ...] = ()
    tokens: int = 0
    """Tokens drawn."""
    logprob: float = 0.0
    """Of the drawn tokens, natural logarithm, summed."""
    readings: dict[str, Any] | None = None
    """The answer by first match, last match and trigger phrase."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else the method has to say about it."""
    step_unit: StepUnit = "line"

    @property
    def steps(self) -> int:
        """Steps of the text, by `step_unit` (Fu et al. 2023)."""
        return count_steps(self.text, self.step_unit)

    @property
    def note(self) -> dict[str, Any]:
        """What is kept of it in an outcome's details."""
        return {
            "answer": self.answer,
            "steps": self.steps,
            "tokens": self.tokens,
            "logprob": if_said(self.logprob),
            "flags": list(self.flags),
        }


Chains: TypeAlias = Generator[list[Request], list[Response], list[Chain]]
"""A conversation that ends in chains, in the order of their sample index."""


@runtime_checkable
class ChainMethod(Method, Protocol):
    """A method that reasons, so that combinators can draw many of its chains."""

    def chains(
        self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources, decoding: Decoding
    ) -> Chains:
        """`decoding.n` chains for one query."""
        ...


class ChainDefaults(MethodDefaults):
    """A method whose answer is that of its one greedy chain."""

    kinds = REASONING

    def solve(
        self: ChainMethod, query: Query, demonstrations: Sequence[Demonstration], resources: Resources
    ) -> Solve:
        """One greedy chain."""
        (chain,) = yield from self.chains(query, demonstrations, resources, GREEDY)
        return Outcome(
            chain.answer,
            chain.prompt,
            chain.output,
            flags=chain.flags,
            details={"chains": [chain.note], "readings": chain.readings or {}, **chain.extra},
        )


def count_steps(text: str, unit: StepUnit = "line") -> int:
    """The steps of a chain, counted as in Fu et al. 2023 and in their study of other ways to count.

    "line": lines that hold anything. "sentence": sentences and lines, the number of a list alone is
    none. "step_i": the different numbers that "step" stands before ("Step 1: ...").
    """
    if unit == "step_i":
        return len({int(hit[1]) for hit in _NUMBERED.finditer(text)})
    if unit == "sentence":
        return sum(1 for part in _SENTENCE_END.split(text) if not _LIST_NUMBER.fullmatch(part))
    return sum(1 for line in text.split("\n") if line.strip())


def rationale_of(text: str) -> str:
    """A chain without the sentence that announces its answer: what a template calls `rationale`."""
    hits = announcements(text)
    if not hits:
        return text.strip()
    ends = [hit.end() for hit in _SENTENCE_END.finditer(text, 0, hits[-1][0])]
    return text[: ends[-1] if ends else 0].strip()


def side_by_side(talks: Sequence[Chains]) -> Generator[list[Request], list[Response], list[list[Chain]]]:
    """Several conversations as one: each round asks for all of them at once."""
    ends: list[list[Chain] | None] = [None] * len(talks)
    asks: dict[int, list[Request]] = {}

    def advance(at: int, responses: list[Response] | None) -> None:
        try:
            asks[at] = next(talks[at]) if responses is None else talks[at].send(responses)
        except StopIteration as end:
            asks.pop(at, None)
            ends[at] = end.value

    for at in range(len(talks)):
        advance(at, None)
    while asks:
        answers = iter((yield [request for requests in asks.values() for request in requests]))
        for at, responses in [(at, [next(answers) for _ in requests]) for at, requests in asks.items()]:
            advance(at, responses)
    return [end or [] for end in ends]


def drive(talk: Generator[list[Request], list[Response], T], model: LanguageModel) -> T:
    """Holds one conversation (of many side by side) with the model to its end."""
    try:
        requests = next(talk)
        while True:
            requests = talk.send(ask(requests, model))
    except StopIteration as end:
        result: T = end.value
        return result


@dataclass(frozen=True, slots=True)
class Reading:
    """How an answer is read: which match counts, by which rules."""

    where: Where = "trigger"
    rules: Rules = "robust"


def read_answer(
    sample: Sample, task: Task, query: Query, reading: Reading, *, after: str = ""
) -> tuple[str | None, tuple[str, ...], dict[str, Any]]:
    """The answer in a sample's text, the flags of reading it, and the three readings side by side.

    after: the prompt that it goes on from.
    """
    cut = sample.stop_reason == "length"
    parsed = parse(sample.text, task, query, where=reading.where, rules=reading.rules, cut=cut, after=after)
    audited = audit(sample.text, task, query, cut=cut, after=after)
    disagree = [flag for flag in audited.flags if flag.endswith("_disagree")]
    readings = {k: v for k, v in audited.as_dict().items() if k != "flags"}
    return parsed.answer, tuple(dict.fromkeys([*parsed.flags, *disagree])), readings


def read_chain(sample: Sample, prompt: Prompt, task: Task, query: Query, reading: Reading) -> Chain:
    """A chain of one stage, its answer at its own end."""
    answer, flags, readings = read_answer(sample, task, query, reading, after=prompt.text)
    if sample.stop_reason == "length":
        flags = (*flags, "cut_by_length")
    return Chain(
        prompt,
        cut_run_on(sample.text, task)[0],
        sample.text,
        answer,
        flags,
        len(sample.token_ids),
        float(sum(sample.logprobs)),
        readings,
    )
