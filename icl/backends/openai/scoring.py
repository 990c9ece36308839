"""Log-probabilities of continuations, by one of the ways that the server allows (`ways.py`)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from icl.backends.openai.answers import Answer, Entry, Garbled, Step
from icl.backends.openai.speaking import Asked, Prompted, Speaker, first_step, piece, value_of
from icl.backends.openai.ways import Way, chosen, constraint, forcing, last_of_prompt
from icl.engine.requests.encoding import EncodedScore
from icl.errors import RequestError
from icl.types import Scores, TokenIds, Usage

NAMED_AT_ONCE = 20
"""Tokens that one request names, as many as vLLM gives without being told otherwise."""
SEEN_AT_ONCE = 300
"""Most likely tokens that come with a forced one: labels among them need no request of their own."""
SLACK = 1e-4
"""Probability that rounding may hide: added to what the most likely tokens leave over."""
NOT_CHOSEN = math.log(0.5)
"""What is not chosen has at most half of the probability of chosen and not chosen together."""


@dataclass
class _Bill:
    """What the requests of one score took."""

    read: int = 0
    written: int = 0
    cached: int = 0

    def add(self, asked: Asked, answer: Answer) -> None:
        read, written = Speaker.took(asked, answer)
        self.read, self.written, self.cached = (
            self.read + read,
            self.written + written,
            self.cached + answer.cached,
        )

    def usage(self, flat: int) -> Usage:
        return Usage(flat, max(self.read - self.cached, 0), self.written, 0.0)


Known = dict[int, tuple[float, bool]]
"""A token -> its log-probability, and whether that is only a bound."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place after the prompt at which tokens are compared: its prompt, and their texts by id."""

    prompt: Prompted
    tokens: Mapping[int, str]


@dataclass
class Scorer:
    """Makes jobs for the client. What asks the tokenizer is done when a job is made."""

    speaker: Speaker
    way: Way

    def job(self, encoded: EncodedScore, texts: Sequence[str]) -> Callable[[], Awaitable[Scores]]:
        """For one request of a completions endpoint; `texts`: the continuations as text."""
        if self.way.choice:
            return self._choice(self.speaker.prompted(encoded.prompt), texts, encoded.flat)
        tree: dict[TokenIds, list[int]] = {}
        for continuation in encoded.continuations:
            for at, token in enumerate(continuation):
                held = tree.setdefault(continuation[:at], [])
                if token not in held:
                    held.append(token)
        calls = len(tree) if self.way.step == "token_ids" else sum(map(len, tree.values()))
        if self.way.whole and (not self.way.step or calls > 2 * len(encoded.continuations)):
            return self._whole(encoded)
        places = {prefix: self._place(encoded.prompt, prefix, tokens) for prefix, tokens in tree.items()}
        return lambda: self._walk(encoded, places)

    def chat_job(self, prompt: str, texts: Sequence[str]) -> Callable[[], Awaitable[Scores]]:
        """For one request of a chat: the first token of each text as an answer. RequestError where two texts
        begin with the same token."""
        prompted = self.speaker.prompted(prompt)
        said = [text.strip() for text in texts]
        if self.way.choice:
            return self._choice(prompted, said, prompted.tokens)
        heads = [self._head(text) for text in said]
        for at, head in enumerate(heads):
            if head in heads[:at]:
                raise RequestError(
                    f"{said[heads.index(head)]!r} and {said[at]!r} begin with the same token ({head!r}), and "
                    "a chat says the first token's log-probabilities only. Give other verbalisers, or use a "
                    "method that writes its answer: generate, few_shot"
                )
        return lambda: self._first_words(prompted, heads)

    def _head(self, text: str) -> str:
        opening = tuple(self.speaker.tokenizer.encode(""))
        ids = tuple(self.speaker.tokenizer.encode(text))
        ids = ids[len(opening) :] if ids[: len(opening)] == opening else ids
        return self.speaker.tokenizer.decode(ids[:1]).strip() or text[:1]

    def _place(self, prompt: TokenIds, prefix: TokenIds, tokens: Sequence[int]) -> _Place:
        before = (*prompt, *prefix)
        named = self.speaker.found.ids
        texts = {t: "" if named else piece(self.speaker.tokenizer, t, before[-4:]) for t in tokens}
        return _Place(self.speaker.prompted(before), texts)

    async def _walk(self, encoded: EncodedScore, places: Mapping[TokenIds, _Place]) -> Scores:
        """Place by place; below a token that has only a bound nothing is asked."""
        bill = _Bill()
        known: dict[TokenIds, Known] = {}
        rows, bounded = [], []
        ask = {"token_ids": self._named, "forced": self._forced, "top_k": self._most_likely}[self.way.step]
        for number, continuation in enumerate(encoded.continuations):
            row: list[float] = []
            for at, token in enumerate(continuation):
                prefix = continuation[:at]
                if prefix not in known:
                    known[prefix] = await ask(places[prefix], bill)
                value, bound = known[prefix][token]
                row.append(value)
                if bound:
                    row += [0.0] * (len(continuation) - at - 1)
                    bounded.append(number)
                    break
            rows.append(tuple(row))
        return Scores(tuple(rows), bill.usage(encoded.flat), tuple(bounded))

    async def _named(self, place: _Place, bill: _Bill) -> Known:
        found: Known = {}
        tokens = list(place.tokens)
        for at in range(0, len(tokens), NAMED_AT_ONCE):
            some = tokens[at : at + NAMED_AT_ONCE]

            def complete(answer: Answer, some: Sequence[int] = some) -> None:
                step = first_step(answer)
                if any(value_of((step.token, *step.top), t, place.tokens[t]) is None for t in some):
                    raise Garbled("an answer without the logprob_token_ids that were asked for")

            asked = Asked(place.prompt, 1, top=1, extra={"logprob_token_ids": some})
            answer = await self.speaker.ask(asked, complete)
            bill.add(asked, answer)
            step = first_step(answer)
            for token in some:
                value = value_of((step.token, *step.top), token, place.tokens[token])
                assert value is not None
                found[token] = (value, False)
        return found

    async def _forced(self, place: _Place, bill: _Bill) -> Known:
        """What is among the most likely ones need not be forced too. A server may say nothing of a token
        that it writes (an end, half a character): such a one keeps its bound."""
        found: Known = {}
        top = min(self.speaker.found.top, SEEN_AT_ONCE)
        least = 0.0
        for token in place.tokens:
            if token in found:
                continue
            extra = forcing(self.speaker.found.forced, token)
            asked = Asked(place.prompt, 1, top=max(top, 1), extra=extra)
            answer = await self.speaker.ask(asked)
            bill.add(asked, answer)
            steps = answer.choices[0].steps
            entries = [steps[0].token, *steps[0].top] if steps else []
            for other in place.tokens:
                value = value_of(entries, other, place.tokens[other])
                if value is not None:
                    found[other] = (value, False)
            if steps and steps[0].top:
                least = min(least, bound_of(beside(steps[0])))
        return {token: found.get(token, (least, True)) for token in place.tokens}

    async def _most_likely(self, place: _Place, bill: _Bill) -> Known:
        asked = Asked(place.prompt, 1, top=self.speaker.found.top)
        answer = await self.speaker.ask(asked, _has_first_step)
        bill.add(asked, answer)
        step = first_step(answer)
        least = bound_of(step.top)
        found = {t: value_of((step.token, *step.top), t, text) for t, text in place.tokens.items()}
        return {t: (least, True) if value is None else (value, False) for t, value in found.items()}

    async def _first_words(self, prompt: Prompted, heads: Sequence[str]) -> Scores:
        """Of the first token of an answer, with or without a space before it."""
        bill = _Bill()
        asked = Asked(prompt, 1, top=self.speaker.found.top)
        answer = await self.speaker.ask(asked, _has_first_step)
        bill.add(asked, answer)
        top = first_step(answer).top
        rows, bounded = [], []
        for number, head in enumerate(heads):
            values = [
                e.logprob
                for e in top
                if e.text is not None and e.text.strip() == head and e.logprob is not None
            ]
            if not values:
                bounded.append(number)
            rows.append((_sum(values) if values else bound_of(top),))
        return Scores(tuple(rows), bill.usage(prompt.tokens), tuple(bounded))

    def _whole(self, encoded: EncodedScore) -> Callable[[], Awaitable[Scores]]:
        prompts = [self.speaker.prompted((*encoded.prompt, *c)) for c in encoded.continuations]

        async def run() -> Scores:
            bill = _Bill()
            rows = []
            for prompt, continuation in zip(prompts, encoded.continuations, strict=True):
                asked, read = self._of_prompt(prompt, continuation)
                answer = await self.speaker.ask(asked, read)
                rows.append(read(answer))
                bill.add(asked, answer)
            return Scores(tuple(rows), bill.usage(encoded.flat))

        return run

    def _of_prompt(
        self, prompt: Prompted, continuation: TokenIds
    ) -> tuple[Asked, Callable[[Answer], tuple[float, ...]]]:
        """The request for a prompt's own log-probabilities, and the end of them read from its answer."""
        if self.way.whole == "prompt_logprobs":
            asked = Asked(prompt, 1, extra={"prompt_logprobs": 0})
            return asked, lambda answer: last_of_prompt(answer.choices[0].prompt, continuation)
        limit = self.speaker.found.echo or 0

        def read(answer: Answer) -> tuple[float, ...]:
            steps = answer.choices[0].steps
            if len(steps) != prompt.tokens + limit:
                raise Garbled(f"echo with {len(steps)} log-probabilities for {prompt.tokens} tokens")
            last = [step.token.logprob for step in steps[prompt.tokens - len(continuation) : prompt.tokens]]
            if any(value is None for value in last):
                raise Garbled("echo without a log-probability that was asked for")
            return tuple(value for value in last if value is not None)

        return Asked(prompt, limit, top=1, extra={"echo": True}), read

    def _choice(self, prompt: Prompted, texts: Sequence[str], flat: int) -> Callable[[], Awaitable[Scores]]:
        name = self.way.choice
        longest = max(len(self.speaker.tokenizer.encode(text)) for text in texts) + (
            16 if name == "response_format" else 4
        )
        asked = Asked(prompt, longest, extra=constraint(name, texts))

        def is_one(answer: Answer) -> None:
            if chosen(name, answer.choices[0].text, texts) is None:
                raise Garbled("an answer that is none of the texts it was to choose from")

        async def run() -> Scores:
            bill = _Bill()
            answer = await self.speaker.ask(asked, is_one)
            bill.add(asked, answer)
            at = chosen(name, answer.choices[0].text, texts)
            rows = tuple((0.0 if number == at else NOT_CHOSEN,) for number in range(len(texts)))
            return Scores(rows, bill.usage(flat), tuple(range(len(texts))))

        return run


def beside(step: Step) -> list[Entry]:
    """The most likely ones without the token that stands there: one that was made to stand there may be among
    them (vLLM) and is less likely than tokens that are not."""
    token = step.token
    return [e for e in step.top if (e.id, e.text) != (token.id, token.text)]


def bound_of(top: Sequence[Entry]) -> float:
    """The most that a token outside the most likely ones can have: not more than the least of them, nor
    than what they leave over."""
    values = [entry.logprob for entry in top if entry.logprob is not None]
    left = max(1.0 - sum(map(math.exp, values)), 0.0) + SLACK
    return min(*values, math.log(left)) if values else 0.0


def _sum(values: Sequence[float]) -> float:
    peak = max(values)
    return peak + math.log(sum(math.exp(value - peak) for value in values))


def _has_first_step(answer: Answer) -> None:
    first_step(answer)
