"""Samples: one request each where seeds are heeded, so that sample i of a prompt is the same whatever it is
asked with; else `n` together where that works, which reads the prompt once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from icl.backends.openai.answers import Answer, Choice, Garbled
from icl.backends.openai.client import Refused
from icl.backends.openai.speaking import Asked, Prompted, Speaker
from icl.engine.requests.stops import first_stop
from icl.errors import RequestError
from icl.protocols import Tokenizer
from icl.thinking import opened_by, thinks
from icl.types import GenerateRequest, Generation, Sample, StopReason, TokenIds, Usage

SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class Written:
    """The texts of one request as they came, and what they took."""

    choices: tuple[Choice, ...]
    read: int
    written: int
    cached: int


class Writer:
    """Makes jobs for the client, and samples of what they bring."""

    def __init__(self, speaker: Speaker, samples: str) -> None:
        self.speaker = speaker
        found = speaker.found
        self.together = found.many and (samples == "together" or (samples == "auto" and not found.seeds))

    def check(self, index: int, request: GenerateRequest) -> None:
        """RequestError for what no server does, or this one was not seen to do."""
        base, which = self.speaker.client.settings.base_url, f"generate request {index}"
        if request.no_repeat_ngram or request.template_ids:
            raise RequestError(
                f"{which}: {base} cannot keep a text from repeating n-grams (no_repeat_ngram), which the "
                "entropy orderers need: use one of icl's own engines for them"
            )
        if not self.speaker.found.extras:
            for name in ("top_k", "ignore_eos"):
                if getattr(request, name):
                    raise RequestError(f"{which}: {base} does not heed {name}; leave it out")

    def job(self, request: GenerateRequest) -> Callable[[], Awaitable[Written]]:
        """The samples of one request, in order."""
        prompt = self.speaker.prompted(request.prompt)
        end = request.prompt if isinstance(request.prompt, str) else ""
        opened = opened_by(end[-200:], request.think)
        indices = [request.first_sample + i for i in range(1 if request.temperature == 0 else request.n)]

        async def run() -> Written:
            answers: list[Answer] = []
            left = list(indices)
            while left:
                n = len(left) if self.together else 1
                answer = await self._drawn(prompt, request, opened, left[0], n)
                answers.append(answer)
                left = left[len(answer.choices) :]
            asked = Asked(prompt, request.max_tokens)
            took = [Speaker.took(asked, answer) for answer in answers]
            return Written(
                tuple(choice for answer in answers for choice in answer.choices),
                sum(read for read, _ in took),
                sum(written for _, written in took),
                sum(answer.cached for answer in answers),
            )

        return run

    async def _drawn(
        self, prompt: Prompted, request: GenerateRequest, opened: str, index: int, n: int
    ) -> Answer:
        """`n` samples, or fewer where the server takes no more at once. A text that a stop string ended
        inside a block of thinking is written again without stop strings, and cut afterwards."""
        asked = self._asked(prompt, request, index, n)

        def complete(answer: Answer) -> None:
            if len(answer.choices) != n:
                raise Garbled(f"{len(answer.choices)} texts where n is {n}")

        try:
            answer = await self.speaker.ask(asked, complete)
        except Refused:
            if n == 1:
                raise
            return await self._drawn(prompt, request, opened, index, max(n // 2, 1))
        if request.stop and any(
            thinks(opened + c.text, request.think) for c in answer.choices if c.finish != "length"
        ):
            answer = await self.speaker.ask(replace(asked, stop=()), complete)
        return answer

    def _asked(self, prompt: Prompted, request: GenerateRequest, index: int, n: int) -> Asked:
        greedy = request.temperature == 0
        return Asked(
            prompt,
            request.max_tokens,
            temperature=float(request.temperature),
            top_p=1.0 if greedy else float(request.top_p),
            top_k=0 if greedy else request.top_k,
            seed=None if greedy else seed_of(request.seed, index),
            stop=tuple(request.stop),
            n=n,
            top=1 if self.speaker.found.top else 0,
            extra={
                name: value
                for name in ("ignore_eos", "presence_penalty", "frequency_penalty")
                if (value := getattr(request, name))
            },
        )

    def generation(self, request: GenerateRequest, written: Written) -> Generation:
        """Asks the tokenizer where the server gave no ids: never from within a request."""
        end = request.prompt if isinstance(request.prompt, str) else ""
        opened = opened_by(end[-200:], request.think)
        samples = [self._sample(request, choice, opened) for choice in written.choices]
        if request.temperature == 0:
            samples *= request.n
        flat = written.read + written.written
        usage = Usage(flat, max(flat - written.cached, 0), written.written, 0.0)
        return Generation(tuple(samples), usage)

    def _sample(self, request: GenerateRequest, choice: Choice, opened: str) -> Sample:
        text = choice.text
        ids, logprobs = ids_of(choice, self.speaker.tokenizer)
        # tokens counted here may be other ones than the server's, which keeps its limits
        counted = said_ids(choice) is not None or not self.speaker.found.limits
        too_long = counted and len(ids) > request.max_tokens
        if too_long:
            ids, logprobs = ids[: request.max_tokens], logprobs[: request.max_tokens]
            text = self.speaker.tokenizer.decode(ids)
        cut = first_stop(text, request.stop, opened, request.think)
        reason: StopReason
        if cut is not None:
            text, reason = text[:cut], "stop"
        else:
            reason = (
                "length" if too_long else ended_by(choice, request, opened, self.speaker.tokenizer.eos_ids)
            )
        return Sample(text, ids, logprobs, reason)


def ids_of(choice: Choice, tokenizer: Tokenizer) -> tuple[TokenIds, tuple[float, ...]]:
    """The tokens of a text, by the server or else of the text as tokenised here; and their log-probabilities,
    nan where the server does not say them."""
    ids = said_ids(choice)
    if ids is None:
        opening, whole = tuple(tokenizer.encode("")), tuple(tokenizer.encode(choice.text))
        ids = whole[len(opening) :] if whole[: len(opening)] == opening else whole
    values = [step.token.logprob for step in choice.steps]
    if len(values) != len(ids) or any(value is None for value in values):
        return ids, (math.nan,) * len(ids)
    return ids, tuple(value for value in values if value is not None)


def said_ids(choice: Choice) -> TokenIds | None:
    """The tokens of a text by the server; None where it does not say them."""
    if choice.ids is None and choice.steps and all(step.token.id is not None for step in choice.steps):
        return tuple(step.token.id for step in choice.steps if step.token.id is not None)
    return choice.ids


def ended_by(choice: Choice, request: GenerateRequest, opened: str, eos_ids: frozenset[int]) -> StopReason:
    """Servers call a stop string and the end of a text by one word: the tokens or the server's own reason
    tell."""
    if choice.finish == "length":
        return "length"
    if not request.stop:
        return "eos"
    if choice.stopped_by is not None:
        return "stop"
    if choice.steps and choice.steps[-1].token.id in eos_ids:
        return "eos"
    texts = [step.token.text for step in choice.steps]
    if texts and all(text is not None for text in texts):
        whole = "".join(text for text in texts if text is not None)
        if first_stop(whole, request.stop, opened, request.think) is not None:
            return "stop"
        return "stop" if eos_ids else "eos"
    return "stop"


def seed_of(seed: int, sample: int) -> int:
    """Of sample i: one that depends on nothing else. 31 bits, which every server takes."""
    digest = hashlib.blake2b(f"{seed} {sample}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % SEEDS


def texts_of(tokenizer: Tokenizer, continuations: Sequence[str | TokenIds]) -> list[str]:
    """Continuations as text."""
    return [c if isinstance(c, str) else tokenizer.decode(c) for c in continuations]
