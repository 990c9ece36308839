"""The nouns of icl, read first.

Everything here is frozen, slotted and free of behaviour beyond derived values. A `Query` has no
gold field, so that no selector, orderer or method can read the answer of a test item by accident;
the gold target meets the parsed answer in the runner, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

TaskKind = Literal["classification", "multiple_choice", "numeric", "boolean", "string"]
StopReason = Literal["stop", "eos", "length"]
TokenIds: TypeAlias = tuple[int, ...]
Text: TypeAlias = str | TokenIds
"""Text to be tokenised by the model's own tokenizer, or token ids used as they are."""


@dataclass(frozen=True, slots=True)
class Query:
    """A test item: inputs only."""

    id: str
    inputs: Mapping[str, str]
    choices: Mapping[str, str] = field(default_factory=dict)
    """Multiple choice only: letter -> text, in the order they are shown."""

    @property
    def text(self) -> str:
        """The named inputs, one a line: what encoders and BM25 see."""
        return "\n".join(self.inputs.values())


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled item of the pool: a possible demonstration."""

    id: str
    inputs: Mapping[str, str]
    target: str
    """The label, the letter of the right choice, or the answer as text."""
    choices: Mapping[str, str] = field(default_factory=dict)
    rationale: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    accepted: tuple[str, ...] = ()
    """Other answers that count as right beside `target`, which is the one shown in prompts."""

    @property
    def golds(self) -> tuple[str, ...]:
        """Every answer that counts as right, the target first."""
        return (self.target, *self.accepted)

    @property
    def text(self) -> str:
        """The named inputs, one a line."""
        return "\n".join(self.inputs.values())

    @property
    def query(self) -> Query:
        """The same item without its target."""
        return Query(self.id, self.inputs, self.choices)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An example chosen for one query, with the selector's reasons."""

    example: Example
    score: float | None = None
    """The selector's own score; higher is better. None where the selector ranks without one."""
    why: Mapping[str, float | str] = field(default_factory=dict)
    """The method's own quantities (similarity, redundancy, ...), shown by `icl show`."""


LabelEnd = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Template:
    """How one item is written down. Each string is a jinja2 template over the item's inputs.

    Inside the strings: every input by its name, `choices` (letter -> text), `answer` (the
    verbalised target) and `rationale`.
    """

    query: str
    """Up to the point where the answer is asked, e.g. "Review: {{ text }}\\nSentiment:"."""
    answer: str = " {{ answer }}"
    rationale: str = " {{ rationale }} The answer is {{ answer }}."
    """What follows `query` in a chain-of-thought demonstration."""
    closing: str = " The answer is {{ answer }}."
    """What follows `query` in a demonstration of standard prompting beside chains of thought."""
    separator: str = "\n\n"
    channel_answer: str = ""
    """Channel scoring, the label's side, e.g. "Sentiment: {{ answer }}\\nReview:"."""
    channel_query: str = ""
    """Channel scoring, the input's side that is scored, e.g. " {{ text }}"."""
    label_end: LabelEnd = "auto"
    """Whether a label that is scored is followed by the separator, or what ends a chat's turn: "auto",
    where the text of one label begins another's ("1" and "10"); "always"; "never"."""


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What a task says about how its answers are read and judged."""

    pattern: str = ""
    """A regular expression whose first group holds the answer, in place of the known announcements."""
    tolerance: float | None = None
    """How far a number may be from the gold; None: only the rounding of long decimals is forgiven."""
    relative: bool = False
    """Whether the tolerance is a share of the gold, not an amount."""
    guess: bool = True
    """Whether an answer may be taken from elsewhere where it was announced and nothing followed."""
    think: tuple[tuple[str, str], ...] = ()
    """(opening, closing) marks of thinking blocks, beside those that are known."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked and how an answer is judged; the rows themselves are not part of it."""

    name: str
    kind: TaskKind
    template: Template
    inputs: tuple[str, ...]
    """Names of the input fields, in order."""
    labels: tuple[str, ...] = ()
    """Classification and boolean: the labels in the order of the task file, never of a set."""
    verbalisers: Mapping[str, str] = field(default_factory=dict)
    """label -> the words that stand for it in prompts; a label without one stands for itself."""
    instruction: str = ""
    metric: str = "accuracy"
    language: str = "en"
    description: str = ""
    max_answer_tokens: int = 32
    reading: ReadingRules = ReadingRules()
    source: Mapping[str, Any] = field(default_factory=dict)
    """Where the splits come from, as validated by `icl.tasks`."""

    def verbalise(self, target: str) -> str:
        """The words that stand for `target` in a prompt."""
        return self.verbalisers.get(target, target)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A demonstration that did not make it into the prompt."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given, and which demonstrations are in it."""

    text: str
    demonstrations: tuple[str, ...] = ()
    """Example ids in the order in which they stand in the text."""
    dropped: tuple[Dropped, ...] = ()
    tokens: int = 0
    """Length in tokens of the model that it was fitted for; 0 where nobody asked."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a response cost. Bookkeeping, not part of the result: it depends on the batch."""

    tokens_flat: int = 0
    """Tokens that a plain engine would forward: prompt and continuations, each on its own."""
    tokens_unique: int = 0
    """Tokens that were forwarded, each shared prefix once."""
    tokens_generated: int = 0
    seconds: float = 0.0
    requests: int = 1

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.tokens_flat + other.tokens_flat,
            self.tokens_unique + other.tokens_unique,
            self.tokens_generated + other.tokens_generated,
            self.seconds + other.seconds,
            self.requests + other.requests,
        )

    @classmethod
    def total(cls, usages: Iterable[Usage]) -> Usage:
        """The sum of many, of none NO_USAGE."""
        parts = [
            (u.tokens_flat, u.tokens_unique, u.tokens_generated, u.seconds, u.requests)
            for u in usages
            if u is not NO_USAGE
        ]
        return cls(*map(sum, zip(*parts, strict=True))) if parts else NO_USAGE


NO_USAGE = Usage(requests=0)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Log-probabilities of `continuations` after `prompt`."""

    prompt: Text
    continuations: tuple[Text, ...]
    relative: bool = False
    """The continuations only compete with one another: where all are single tokens, their probabilities
    are normalised over them alone, and an engine need not compute the rest of the vocabulary."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Answer to a `ScoreRequest`; natural logarithms."""

    token_logprobs: tuple[tuple[float, ...], ...]
    """One tuple a continuation, one number a token of it."""
    usage: Usage = NO_USAGE
    bounded: tuple[int, ...] = ()
    """Continuations of which nobody knows the value: theirs is the most that it can be."""

    @property
    def logprobs(self) -> tuple[float, ...]:
        """log P(continuation | prompt), summed over its tokens, one number a continuation."""
        return tuple(float(sum(tokens)) for tokens in self.token_logprobs)

    @property
    def mean_logprobs(self) -> tuple[float, ...]:
        """The same divided by the number of tokens."""
        return tuple(float(sum(t)) / max(len(t), 1) for t in self.token_logprobs)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """`n` continuations of `prompt`.

    Sample i is drawn from a random stream of its own, keyed by (seed, prompt tokens, i): asking
    for samples 0..9 and later for 10..19 (`first_sample=10`) gives what 0..19 at once gives.
    """

    prompt: Text
    n: int = 1
    max_tokens: int = 64
    temperature: float = 0.0
    """0 = greedy."""
    top_k: int = 0
    """0 = all."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    first_sample: int = 0
    ignore_eos: bool = False
    no_repeat_ngram: int = 0
    """Ban tokens that would repeat an n-gram of prompt + output of this length; 0 = off."""
    continued: bool = False
    """A later prompt will begin with this one and its output, as token ids: an engine may keep what
    it has computed. Never changes a result."""
    template_ids: TokenIds = ()
    """Tokens of the form that a text is to keep: never banned by `no_repeat_ngram`, and taken, not
    drawn for, wherever one of them is the most likely of all."""
    think: tuple[tuple[str, str], ...] = ()
    """(opening, closing) marks of blocks in which a stop string ends nothing, beside the known ones."""
    presence_penalty: float = 0.0
    """Taken off the logit of every token that the sample has drawn already, -2 to 2, as OpenAI defines it;
    tokens of the prompt do not count."""
    frequency_penalty: float = 0.0
    """The same times how often it has drawn it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation. `text` ends before the stop string; `token_ids` hold all that was drawn."""

    text: str
    token_ids: TokenIds
    logprobs: tuple[float, ...]
    """Of the drawn tokens under the model itself: temperature 1, no truncation."""
    stop_reason: StopReason


@dataclass(frozen=True, slots=True)
class Generation:
    """Answer to a `GenerateRequest`: `n` samples in the order of their index."""

    samples: tuple[Sample, ...]
    usage: Usage = NO_USAGE


Request: TypeAlias = ScoreRequest | GenerateRequest
Response: TypeAlias = Scores | Generation


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a method says about one query. It has never seen the gold target."""

    answer: str | None
    """The parsed answer in the task's canonical form (label, letter, number, ...); None: unparsed."""
    prompt: Prompt
    """The (first or only) prompt, so that it can be shown."""
    output: str = ""
    """What the model wrote; empty for scoring methods."""
    label_scores: Mapping[str, float] = field(default_factory=dict)
    """Scoring methods: label -> the score that was compared, in the task's label order."""
    flags: tuple[str, ...] = ()
    """Things that must not pass in silence: near_tie, unparsed, cut_by_length, run_on, ..."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able quantities of the method: votes, chains, calibration weights, ..."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One line of a cell's log."""

    query_id: str
    demonstrations: tuple[tuple[str, float | None], ...]
    """(example id, selector's score) in prompt order."""
    answer: str | None
    gold: str
    correct: bool
    output: str = ""
    label_scores: Mapping[str, float] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()
    flags: tuple[str, ...] = ()
    why: Sequence[Mapping[str, float | str]] = ()
    """The selector's quantities, one mapping a demonstration, in prompt order."""
    details: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage = NO_USAGE
