"""The contracts between the parts, each stated once.

A component is a small object whose constructor takes keywords and only stores them; `fit`
computes. Whatever asks the model asks in bulk, so that the engine sees every shared prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self, TypeAlias, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from icl.registry import Registry
from icl.seeding import generator as seeded_generator
from icl.training import Array, Network, TrainingStep, Tuned
from icl.types import (
    Demonstration,
    Example,
    GenerateRequest,
    Generation,
    Outcome,
    Prompt,
    Query,
    Request,
    Response,
    ScoreRequest,
    Scores,
    Task,
    TaskKind,
    TokenIds,
)


class Tokenizer(Protocol):
    """Text <-> token ids of one model."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """Ids that end a generation."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever any text may be tokenised differently."""
        ...

    def encode(self, text: str) -> TokenIds:
        """Ids of a whole prompt, with the special tokens that the model expects (BOS), once."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        ...

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Messages by the model's chat template, ready for the answer. ModelError if it has none."""
        ...


OnScores: TypeAlias = Callable[[int, Scores], None]
OnGeneration: TypeAlias = Callable[[int, Generation], None]


@runtime_checkable
class LanguageModel(Protocol):
    """Scores and generates in bulk. The order of results is the order of requests, always.

    `on_result(index, result)` is called once per request as soon as its result is final, in any
    order, so that a caller can keep what is done and show progress.
    """

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own."""
        ...

    @property
    def context_length(self) -> int:
        """Longest sequence in tokens, prompt and continuation together."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever a score may change: weights, tokenizer, precision."""
        ...

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """Log-probabilities. Raises ContextOverflow naming the request that is too long."""
        ...

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """Samples. Raises ContextOverflow naming the request that is too long."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """What a model may offer besides: it tells how far it is inside a call, before any result is final."""

    def report_to(self, told: Callable[[int], None]) -> None:
        """From now on `told(tokens)` is called whenever that many tokens more have been forwarded."""
        ...


class Encoder(Protocol):
    """Sentences to unit-norm vectors."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] float32 rows of unit length."""
        ...


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """What an encoder may offer besides: a vector for each token, compared by BERTScore."""

    def encode_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """For each text [tokens, d] float32 rows of unit length, in order; at least one row.

        ConfigError where an encoder behind this one has none.
        """
        ...


class Renderer(Protocol):
    """Writes prompts for one task and one model, and fits them into the context window."""

    def prompt(
        self,
        query: Query,
        demonstrations: Sequence[Demonstration],
        *,
        style: Literal["answer", "rationale", "closing", "channel"] = "answer",
        reserve: int = 0,
        suffix: str = "",
        label: str = "",
    ) -> Prompt:
        """The whole prompt: instruction, demonstrations in the order given, query, `suffix`.

        `style` says what follows each demonstration's query: its answer, its rationale and
        answer, the closing sentence alone, or, for channel scoring, that the label stands first
        (`label` is the query's).
        `reserve` tokens are kept free for the continuation. Demonstrations that do not fit are
        dropped (least preferred first) and recorded, or ContextOverflow is raised, as configured.
        """
        ...

    def answer(self, target: str, *, query: Query | None = None, after: str = "") -> str:
        """What follows the prompt for `target`, e.g. " positive"; `query` where its inputs are shown."""
        ...

    @property
    def end(self) -> str:
        """What stands after a demonstration's answer: the separator, or what ends a chat's turn."""
        ...

    def stops(self, *, chain: bool) -> tuple[str, ...]:
        """Texts at which an answer, or a `chain` of thought with its blank lines, has ended."""
        ...

    def channel_query(self, query: Query) -> str:
        """Channel scoring: the query's side that is scored after the label, e.g. " a fine film"."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """What a component may use. A component that needs none of it ignores it."""

    task: Task
    seed: int = 0
    model: LanguageModel | None = None
    encoder: Encoder | None = None
    renderer: Renderer | None = None
    duplicate_threshold: float = 1.0
    """How near is a duplicate: 1 = equal after normalisation, less = Jaccard of word 3-grams."""
    pool: Sequence[Example] = ()
    """What demonstrations are chosen from, for orderers that carve a validation split from it."""
    rehearsal: bool = False
    """`icl plan`: the model's answers are made up, and only what is asked counts. A component may
    leave out training on them that does not change how much it asks; a run never sets this."""

    def generator(self, purpose: str, item: str = "") -> np.random.Generator:
        """A random stream for one purpose and one item under the experiment's seed."""
        return seeded_generator(self.seed, purpose, item)


class Selector(Protocol):
    """Chooses demonstrations.

    Class attribute `needs`: the resources it cannot do without, e.g. frozenset({"encoder"}).
    """

    needs: frozenset[str]

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Indexes the pool; may ask the model in bulk. Sees the pool's labels, never the test's."""
        ...

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """For each query, its demonstrations, most preferred first; at most k, fewer only if the
        method cannot give k. Never the query itself or a duplicate of it."""
        ...


class Orderer(Protocol):
    """Puts chosen demonstrations into the order in which they stand in the prompt.

    Optional attributes: `uses_gold`, True where gold labels (of a validation split of the pool)
    decide, so that the row is a bound and no method; `kinds`, as for methods; `reasons`, set by
    `order`: one JSON-able mapping a query with the method's own quantities, kept in the
    prediction's details under "order"; and a method `check_shots(shots)`, which raises ConfigError
    before a model loads when so many demonstrations cannot be ordered as configured.
    """

    needs: frozenset[str]

    def order(
        self,
        demonstrations: Sequence[Sequence[Demonstration]],
        queries: Sequence[Query],
        resources: Resources,
    ) -> list[tuple[int, ...]]:
        """For each query a permutation of range(len(demonstrations[i])): prompt position -> index."""
        ...


Solve: TypeAlias = Generator[list[Request], list[Response], Outcome]
"""One query's conversation with the model: yields requests, is sent their responses in order,
returns its outcome. The runner drives the conversations of all cells side by side and hands
the engine the requests of all of them together."""


class Method(Protocol):
    """Turns a query and its demonstrations into requests, and responses into an outcome.

    Attributes: `kinds`, the task kinds it fits; `needs`, as for selectors; `shows_selected`, whether the
    selector's demonstrations stand in its prompts: without them it is the same whatever the selector, the
    shots and the order, and is run once; `asks_model`, False where it never does: then it is run once
    whatever the tuning.
    """

    kinds: frozenset[TaskKind]
    needs: frozenset[str]

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Work that is done once a cell (calibration constants, Auto-CoT's demonstrations)."""
        ...

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """The conversation of one query. It must not depend on any other query."""
        ...

    def finish(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Called once with all outcomes of a cell in query order; most methods return them as
        they are, batch calibration looks at all of them."""
        ...


class Metric(Protocol):
    """Judges answers. `score` maps one answer to [0, 1]; `aggregate` maps a cell to one number."""

    def score(self, answer: str | None, gold: str, task: Task) -> float:
        """How right one answer is, 0 to 1; None: nothing could be read."""
        ...

    def aggregate(self, answers: Sequence[str | None], golds: Sequence[str], task: Task) -> float:
        """The number of a cell, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TuningResources:
    """What a tuner may use. There is no test set in it."""

    task: Task
    network: Network
    """Fresh from its files, in the precision of training; the tuner may change it as it likes."""
    tokenizer: Tokenizer
    renderer: Renderer
    context_length: int
    seed: int = 0
    open_task: Callable[[str], tuple[Task, Sequence[Example], Renderer]] | None = None
    """For regimes that train on other tasks: a task's definition, its training rows without those that any
    test set of the experiment holds, and its renderer. Raises IclError."""
    fresh: Callable[[], Network] | None = None
    """Another fresh network, where the first has been changed and is no longer needed."""
    ask: Callable[..., LanguageModel] | None = None
    """ask(network, root=None): an engine on a network as it is now, with what stands before every text."""
    folder: Path | None = None
    """Where checkpoints are kept, so that a killed run goes on; None: nowhere."""
    report: Callable[[TrainingStep], None] | None = None
    fingerprint: str = ""
    """Of the base: weights, tokenizer and precision, as `open_network` says it; "" where nobody knows."""

    def generator(self, purpose: str, item: str = "") -> np.random.Generator:
        """As of `Resources`."""
        return seeded_generator(self.seed, purpose, item)


class Tuner(Protocol):
    """Trains the model on the pool.

    Attributes: `kinds`, the task kinds it fits; `needs`, as for selectors. The constructor checks and stores.
    Optional: `uses_pool`, False where the pool is not looked at; `keeps`, how many of its examples are kept
    from training; `one_for_all`, True where what is trained is the same whatever task is asked, so that an
    experiment trains it once a seed; `check(task, load)`, which raises IclError for what can be known before
    a model loads (load: a task's name -> icl.tasks.TaskData).
    """

    kinds: frozenset[TaskKind]
    needs: frozenset[str]

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """Trains on the pool. The same seed gives the same weights, also when killed and gone on with.

        Raises ConfigError before the first step where the method does not fit the network or the pool,
        ModelError where the loss is not finite (what was trained until then is kept).
        """
        ...

    def restore(self, state: Mapping[str, Array], network: Network) -> Tuned:
        """What `fit` returned, made again of a fresh network and the state that it returned."""
        ...


selectors: Registry[Selector] = Registry("selector", ("icl.selectors",), Selector)
orderers: Registry[Orderer] = Registry("orderer", ("icl.orderers",), Orderer)
methods: Registry[Method] = Registry("method", ("icl.methods", "icl.calibration", "icl.cot"), Method)
tuners: Registry[Tuner] = Registry("tuner", ("icl.tuning",), Tuner)
metrics: Registry[Metric] = Registry("metric", ("icl.metrics",), Metric)

ALL_KINDS: frozenset[TaskKind] = frozenset(get_args(TaskKind))
