"""Many conversations with one model, side by side in a bounded window.

Each conversation is a `Solve` generator. All that are in the window ask at once, so that the
engine sees the prefixes that they share, across queries and across cells; as conversations end,
others take their place before the model is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from icl.conversation import ask
from icl.errors import ContextOverflow
from icl.protocols import LanguageModel, Solve
from icl.types import NO_USAGE, Outcome, Request, Response, ScoreRequest, Scores, Usage

Tag = TypeVar("Tag")

BOUNDED = "bounded_scores"
"""Flag of an outcome for which a label had only a bound: what came after it (a calibration) rests on that."""


@dataclass(frozen=True, slots=True)
class Window:
    """How much is asked at once, at most: requests, and characters of prompts with answers
    (about four to a token). A single conversation may be larger."""

    requests: int = 20_000
    characters: int = 16_000_000
    spread: int = 120_000_000
    """Characters when every label stands after a prompt of its own: tasks with many labels ask for
    many times their prompts, and the engine plans with all of it."""


@dataclass(slots=True)
class Conversation(Generic[Tag]):
    """One query's talk with the model; `tag` says whose it is."""

    tag: Tag
    solve: Solve
    paid: set[int] = field(default_factory=set)
    """Hashes of the requests that have been paid for, by this conversation or others that are given
    the same set (those of a cell): asked again, a request costs nothing."""
    pending: list[Request] = field(default_factory=list)
    usage: Usage = NO_USAGE
    size: int = 0
    spread: int = 0
    """Characters of what is pending; `spread` with the prompt once a continuation or sample."""
    bounded: bool = False
    """Whether a score that it was given is only a bound."""

    def pay(self, responses: list[Response]) -> None:
        """Adds what the answers to `pending` have cost."""
        for request, response in zip(self.pending, responses, strict=True):
            self.bounded = self.bounded or (isinstance(response, Scores) and bool(response.bounded))
            key = hash(request)
            if key not in self.paid:
                self.paid.add(key)
                self.usage += response.usage

    def advance(self, responses: list[Response] | None) -> Outcome | None:
        """Sends the responses (None: begins). The outcome, or None with requests pending."""
        try:
            self.pending = next(self.solve) if responses is None else self.solve.send(responses)
        except StopIteration as end:
            outcome: Outcome = end.value
            return replace(outcome, flags=(*outcome.flags, BOUNDED)) if self.bounded else outcome
        except ContextOverflow as error:
            raise ContextOverflow(f"{self.tag}: {error}") from error
        self.size = sum(_characters(request) for request in self.pending)
        self.spread = sum(_spread(request) for request in self.pending)
        return None


Finished = Callable[[Conversation[Tag], Outcome], None]


def converse(
    conversations: Iterator[Conversation[Tag]],
    model: LanguageModel,
    window: Window,
    finished: Finished[Tag],
    asks: Callable[[int], None] = lambda conversations: None,
) -> None:
    """Drives all conversations to their end; `finished` is called once for each, in any order, and
    `asks` before each call of the model, with the number of conversations that wait for it."""
    active: list[Conversation[Tag]] = []
    while True:
        active += _fill(active, conversations, window, finished)
        if not active:
            return
        asks(len(active))
        answers = iter(ask([request for c in active for request in c.pending], model))
        still = []
        for conversation in active:
            responses = [next(answers) for _ in conversation.pending]
            conversation.pay(responses)
            outcome = conversation.advance(responses)
            if outcome is None:
                still.append(conversation)
            else:
                finished(conversation, outcome)
        active = still


def _fill(
    active: list[Conversation[Tag]],
    conversations: Iterator[Conversation[Tag]],
    window: Window,
    finished: Finished[Tag],
) -> list[Conversation[Tag]]:
    """Conversations that have begun and fit beside the active ones."""
    begun: list[Conversation[Tag]] = []
    requests = sum(len(c.pending) for c in active)
    characters = sum(c.size for c in active)
    spread = sum(c.spread for c in active)
    while requests < window.requests and characters < window.characters and spread < window.spread:
        conversation = next(conversations, None)
        if conversation is None:
            break
        outcome = conversation.advance(None)
        if outcome is not None:
            finished(conversation, outcome)
            continue
        begun.append(conversation)
        requests += len(conversation.pending)
        characters += conversation.size
        spread += conversation.spread
    return begun


def _characters(request: Request) -> int:
    if isinstance(request, ScoreRequest):
        return len(request.prompt) + sum(len(c) for c in request.continuations)
    return len(request.prompt) + 4 * request.n * request.max_tokens


def _spread(request: Request) -> int:
    if isinstance(request, ScoreRequest):
        return sum(len(request.prompt) + len(c) for c in request.continuations)
    return _characters(request)
