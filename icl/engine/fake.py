"""A deterministic language model without weights: everything above the engine is tested on it.

It reads bytes as tokens, so any text survives encoding and decoding. By default its scores and
its replies are a hash of what it is asked, hence reproducible and independent of the batch; tests
script it with two callables to say exactly what they need.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence

from icl.engine.requests.encoding import Limits, encode_prompts, encode_scores
from icl.engine.requests.stops import first_stop
from icl.engine.script import script_digest
from icl.thinking import opened_by
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, Text, TokenIds, Usage

EOS = 256


class ByteTokenizer:
    """UTF-8 bytes as token ids 0..255; 256 ends a text."""

    eos_ids = frozenset({EOS})
    fingerprint = "bytes"

    def encode(self, text: str) -> TokenIds:
        """The bytes of its UTF-8."""
        return tuple(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the bytes; what is no UTF-8 is replaced."""
        return bytes(i for i in ids if i < EOS).decode(errors="replace")

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Turns in angle brackets."""
        turns = [f"<{m['role']}>{m['content']}</{m['role']}>" for m in messages]
        return "".join(turns) + "<assistant>"


def _hash(*parts: str | int) -> float:
    """A number in [0, 1) that depends on every part."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


class FakeModel:
    """LanguageModel whose answers are scripted or hashed.

    score_with(prompt, continuation) -> log-probability of the whole continuation.
    reply_with(prompt, sample index) -> the text generated; it is cut at `max_tokens` bytes and at
    the first stop string like any other; there are no logits, so that what shapes a draw (top_p, penalties,
    but for temperature 0) changes nothing. `delay`: seconds to sleep before each request, to try out what
    takes time. The fingerprint depends on the scripts (`icl.engine.script`).
    """

    def __init__(
        self,
        score_with: Callable[[str, str], float] | None = None,
        reply_with: Callable[[str, int], str] | None = None,
        *,
        context_length: int = 1 << 20,
        name: str = "fake",
        delay: float = 0.0,
    ) -> None:
        for said, given in (("score_with", score_with), ("reply_with", reply_with)):
            if given is not None and not callable(given):
                raise ValueError(f"{said} is {given!r}; allowed: a function, which Python alone can give")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"name is {name!r}; allowed: a text that can be printed")
        if type(context_length) is not int or context_length < 1:
            raise ValueError(f"context_length is {context_length!r}; allowed: a number of tokens, at least 1")
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < 60:
            raise ValueError(f"delay is {delay!r}; allowed: seconds a request, from 0 to 60")
        self.name = name
        self.delay = delay
        self.context_length = context_length
        self.tokenizer = ByteTokenizer()
        script = script_digest(score_with, reply_with)
        self.fingerprint = f"{name}-1" + (f"-{script}" if script else "")
        self._score_with = score_with
        self._reply_with = reply_with
        self.requests: list[ScoreRequest | GenerateRequest] = []
        """Everything it was asked, in order."""

    def _note(self, request: ScoreRequest | GenerateRequest) -> None:
        self.requests.append(request)
        if self.delay:
            time.sleep(self.delay)

    def _ids(self, text: Text) -> TokenIds:
        return self.tokenizer.encode(text) if isinstance(text, str) else tuple(text)

    def _text(self, text: Text) -> str:
        return text if isinstance(text, str) else self.tokenizer.decode(text)

    @property
    def _limits(self) -> Limits:
        return Limits(EOS + 1, self.context_length, self.name)

    def score(
        self, requests: Sequence[ScoreRequest], on_result: Callable[[int, Scores], None] | None = None
    ) -> list[Scores]:
        """One log-probability a continuation, spread evenly over its bytes.

        Raises what an engine raises for a request that cannot be answered.
        """
        encode_scores(self.tokenizer, requests, self._limits)
        results = []
        for index, request in enumerate(requests):
            self._note(request)
            prompt = self._text(request.prompt)
            tokens = []
            for continuation in request.continuations:
                length = len(self._ids(continuation))
                if self._score_with is not None:
                    total = float(self._score_with(prompt, self._text(continuation)))
                else:
                    total = -5.0 * _hash("score", prompt, self._text(continuation)) - 0.01
                tokens.append((total / length,) * length)
            flat = sum(len(self._ids(request.prompt)) + len(t) for t in tokens)
            result = Scores(tuple(tokens), Usage(flat, flat, 0, 0.0))
            results.append(result)
            if on_result is not None:
                on_result(index, result)
        return results

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        on_result: Callable[[int, Generation], None] | None = None,
    ) -> list[Generation]:
        """Scripted or hashed texts; greedy requests give the same text for every sample index.

        Raises what an engine raises for a request that cannot be answered.
        """
        encode_prompts(self.tokenizer, requests, self._limits)
        results = []
        for index, request in enumerate(requests):
            self._note(request)
            prompt = self._text(request.prompt)
            samples = tuple(self._sample(request, prompt, request.first_sample + i) for i in range(request.n))
            flat = sum(len(self._ids(request.prompt)) + len(s.token_ids) for s in samples)
            generated = sum(len(s.token_ids) for s in samples)
            result = Generation(samples, Usage(flat, flat, generated, 0.0))
            results.append(result)
            if on_result is not None:
                on_result(index, result)
        return results

    def _sample(self, request: GenerateRequest, prompt: str, sample: int) -> Sample:
        if self._reply_with is not None:
            text = self._reply_with(prompt, sample)
        else:
            draw = sample if request.temperature > 0 else 0
            text = f" {int(1000 * _hash('reply', request.seed, prompt, draw))}\n"
        ids = (*self.tokenizer.encode(text), EOS)
        reason = "eos"
        if len(ids) > request.max_tokens:
            ids, reason = ids[: request.max_tokens], "length"
            text = self.tokenizer.decode(ids)
        cut = first_stop(text, request.stop, opened_by(prompt[-200:], request.think), request.think)
        if cut is not None:
            text, reason = text[:cut], "stop"
        return Sample(text, tuple(ids), (-0.1,) * len(ids), reason)  # type: ignore[arg-type]
