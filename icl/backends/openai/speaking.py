"""Requests in the words of one endpoint, and what has been found out about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from icl.backends.openai.answers import Answer, Entry, Garbled, Step, read_answer
from icl.backends.openai.client import Client
from icl.backends.openai.tokenizer import messages_of
from icl.errors import RequestError
from icl.protocols import Tokenizer
from icl.types import Text, TokenIds

COMPLETIONS, CHAT = "/completions", "/chat/completions"
WITHOUT_LIMITS = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
"""Servers have defaults of their own (llama.cpp: the 40 most likely, at least 0.05 of the best): sent so that
what is drawn from is the model's whole distribution."""
WITH_IDS = {
    "completions": {"return_token_ids": True, "return_tokens_as_token_ids": True},
    "chat": {"return_token_ids": True},  # whose entries keep their texts: they are compared with labels
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a server does, seen by the probe. Everything is off until it was seen."""

    endpoint: str = "completions"
    takes_ids: bool = False
    """Prompts as token ids; else as text, which the server tokenises."""
    extras: bool = False
    """Fields beside OpenAI's API are taken, and `top_k` is heeded."""
    limit: str = "max_tokens"
    """What the field is called."""
    counts: bool = False
    """The answer says how many tokens it took."""
    overhead: int = 0
    """Tokens that a chat has more than its marked text."""
    prefills: bool = False
    """A chat goes on from an answer that has begun."""
    repeats: bool = False
    """And its text then begins with that beginning (llama.cpp)."""
    limits: bool = True
    """`max_tokens` is heeded."""
    stops: bool = False
    many: bool = False
    """`n` gives so many samples, and they differ."""
    seeds: bool = False
    """The same seed gives the same text, another seed another one."""
    top: int = 0
    """How many log-probabilities of the first token come back, at most; 0: none."""
    ids: bool = False
    """Tokens come back with their ids."""
    raw: bool = True
    """They are those of temperature 1."""
    echo: int | None = None
    """max_tokens with which `echo` gives the prompt's log-probabilities; None: it does not."""
    prompt_logprobs: bool = False
    token_ids: bool = False
    """logprob_token_ids."""
    forced: str = ""
    """The field by which one token is forced, with its log-probability as it was before."""
    choice: str = ""
    """The field by which the answer is one of some texts."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know."""

    def noted(self, note: str) -> Found:
        """With another note."""
        return replace(self, notes=(*self.notes, note))


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt as it is sent, and how long it is."""

    body: Mapping[str, Any]
    tokens: int
    begun: str = ""
    """What the answer begins with, as the chat is told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for text."""

    prompt: Prompted
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    top: int = 0
    """Log-probabilities of so many tokens at each position; 0: none at all."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields beside those."""


class Speaker:
    """Asks one endpoint of one server, as far as `found` says that it is heard."""

    def __init__(self, client: Client, tokenizer: Tokenizer, found: Found) -> None:
        self.client = client
        self.tokenizer = tokenizer
        self.found = found

    def but(self, **changes: Any) -> Speaker:
        """The same with something else found."""
        return Speaker(self.client, self.tokenizer, replace(self.found, **changes))

    def prompted(self, prompt: Text) -> Prompted:
        """Asks the tokenizer: never from within a request. RequestError for what the endpoint cannot take."""
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else tuple(prompt)
        if self.found.endpoint == "completions":
            if self.found.takes_ids:
                return Prompted({"prompt": list(ids)}, len(ids))
            text = prompt if isinstance(prompt, str) else self.tokenizer.decode(prompt)
            return Prompted({"prompt": text}, len(ids))
        text = prompt if isinstance(prompt, str) else self.tokenizer.decode(prompt)
        messages, begun = messages_of(text)
        body: dict[str, Any] = {"messages": messages}
        if begun:
            if not self.found.prefills:
                raise RequestError(
                    f"{self.client.settings.base_url}: its chat does not go on from an answer that has begun "
                    f"({begun[:40]!r}); use a method without such a beginning, or a server with completions"
                )
            body["messages"] = [*messages, {"role": "assistant", "content": begun}]
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return Prompted(body, len(ids) + self.found.overhead, begun)

    def body(self, asked: Asked) -> dict[str, Any]:
        """The request as JSON."""
        found = self.found
        body: dict[str, Any] = {"model": self.client.settings.model, **asked.prompt.body}
        body |= {found.limit: asked.max_tokens, "temperature": asked.temperature, "top_p": asked.top_p}
        if asked.n > 1:
            body["n"] = asked.n
        if asked.seed is not None:
            body["seed"] = asked.seed
        if asked.stop:
            body["stop"] = list(asked.stop)
        if asked.top and found.endpoint == "completions":
            body["logprobs"] = asked.top
        elif asked.top:
            body |= {"logprobs": True, "top_logprobs": asked.top}
        if found.extras:
            body |= WITHOUT_LIMITS
            if asked.top_k:
                body["top_k"] = asked.top_k
            if asked.top:
                body |= WITH_IDS[found.endpoint]
        return body | dict(asked.extra)

    async def ask(self, asked: Asked, check: Callable[[Answer], object] = lambda answer: None) -> Answer:
        """The answer; what `check` raises Garbled for is asked again. Within the budget."""

        def read(body: object) -> Answer:
            answer = read_answer(body)
            if self.found.repeats:
                answer = answer.without(asked.prompt.begun)
            check(answer)
            return answer

        path = COMPLETIONS if self.found.endpoint == "completions" else CHAT
        worst = (asked.prompt.tokens, asked.n * asked.max_tokens)
        return await self.client.post(
            path, self.body(asked), read, worst=worst, took=lambda answer: self.took(asked, answer)
        )

    @staticmethod
    def took(asked: Asked, answer: Answer) -> tuple[int, int]:
        """Tokens read and written: by the server's account, or else as counted here at most."""
        steps = sum(len(choice.steps) for choice in answer.choices)
        written = answer.written if answer.written is not None else steps or asked.n * asked.max_tokens
        return answer.read if answer.read is not None else asked.prompt.tokens, written


def value_of(entries: Sequence[Entry], token: int, text: str) -> float | None:
    """The log-probability of a token among entries: by its id where they have ids, else by its text."""
    for entry in entries:
        if entry.logprob is not None and (entry.id == token if entry.id is not None else entry.text == text):
            return entry.logprob
    return None


def first_step(answer: Answer) -> Step:
    """The first position of the first text. Garbled where it has no log-probabilities."""
    steps = answer.choices[0].steps
    if not steps or steps[0].token.logprob is None:
        raise Garbled("an answer without the log-probabilities that were asked for")
    return steps[0]


def piece(tokenizer: Tokenizer, token: int, after: TokenIds) -> str:
    """What a token adds to a text that ends in `after`."""
    before = tokenizer.decode(after)
    return tokenizer.decode((*after, token))[len(before) :]
