"""A server that speaks OpenAI's API, as a `LanguageModel`."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from icl.backends.openai.client import Client
from icl.backends.openai.probe import probe
from icl.backends.openai.proofs import Texts
from icl.backends.openai.scoring import Scorer
from icl.backends.openai.served import Served, served
from icl.backends.openai.settings import CIRCUMSTANCES, HOSTED, Endpoint, Samples, Scoring, Settings
from icl.backends.openai.speaking import Asked, Found, Speaker
from icl.backends.openai.tokenizer import BATTERY, MessageTokenizer, ServerTokenizer
from icl.backends.openai.ways import refusal, way_of
from icl.backends.openai.writing import Writer, Written, texts_of
from icl.engine.loading.files import load_tokenizer
from icl.engine.requests.encoding import Limits, encode_prompts, encode_scores
from icl.engine.requests.validation import check_length, check_scores
from icl.errors import ConfigError, ModelError
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.types import GenerateRequest, Generation, ScoreRequest, Scores, Usage

log = logging.getLogger("icl")
T = TypeVar("T")
R = TypeVar("R", Scores, Generation)

ANY_ID = 2**31
"""A server does not say how large its vocabulary is."""
_seen: dict[str, Found] = {}
"""What the probe found in this process, by what was asked how."""


class OpenAIModel:
    """Any OpenAI-compatible server, through the official client.

    model, base_url: what is asked where. tokenizer: "server" (llama.cpp, vLLM), or a hub id, a path, an
    alias of icl. api_key_env: the environment variable with the key, OPENAI_API_KEY where none is said; a
    key is nowhere else. concurrency: requests at once. timeout: seconds a request; deadline: seconds a
    session; retries: how often a request is tried again (429, 5xx, no answer, a broken or garbled one),
    with pauses from 0.5 to 60 s and never before the server's Retry-After. budget: {tokens: N}, or {money:
    X, prices: {input: A, output: B}} a million tokens; a request that might go beyond it is not begun.
    scoring: how labels are scored, auto, echo, prompt_logprobs, token_ids, forced, top_k, choice. endpoint:
    auto, completions, chat. samples: auto, single (a request a sample), together (`n`). context_length:
    where the server does not say it, or less. identity: what stands for the server's address in the
    fingerprint, where the same weights are asked at another address, or one name at two.

    Nothing connects before the model is asked, or its tokenizer is.
    """

    circumstances = CIRCUMSTANCES

    def __init__(
        self,
        model: str,
        *,
        base_url: str = HOSTED,
        tokenizer: str = "server",
        api_key_env: str | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        deadline: float | None = None,
        retries: int = 8,
        budget: Mapping[str, Any] | None = None,
        scoring: Scoring = "auto",
        endpoint: Endpoint = "auto",
        samples: Samples = "auto",
        context_length: int | None = None,
        identity: str | None = None,
    ) -> None:
        self.settings = Settings(
            model,
            base_url,
            tokenizer,
            api_key_env,
            concurrency,
            timeout,
            deadline,
            retries,
            budget,
            scoring,
            endpoint,
            samples,
            context_length,
            identity,
        )
        self.name = f"openai:{model}"

    @cached_property
    def client(self) -> Client:
        """Made when it is first needed; connects when it is first asked."""
        return Client(self.settings)

    @cached_property
    def served(self) -> Served:
        """What the server says of the model."""
        return served(self.client)

    @cached_property
    def _plain_tokenizer(self) -> Tokenizer:
        if self.settings.tokenizer == "server":
            return ServerTokenizer(self.client, self.served.names)
        return load_tokenizer(self.settings.tokenizer)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """See LanguageModel. Of a chat: with marks between messages."""
        if self.settings.endpoint == "chat" or (
            self.settings.endpoint == "auto" and self.found.endpoint == "chat"
        ):
            return MessageTokenizer(self._plain_tokenizer)
        return self._plain_tokenizer

    @cached_property
    def context_length(self) -> int:
        """See LanguageModel. Raises ConfigError where neither the server nor the options say it."""
        given, said = self.settings.context_length, self.served.context_length
        if given is None and said is None:
            raise ConfigError(
                f"{self.settings.base_url} does not say how long its context is; give context_length: 4096"
            )
        if given is not None and said is not None and given > said:
            raise ConfigError(f"context_length is {given}; the server's is {said}: allowed are 8 to {said}")
        return given or said or 0

    @cached_property
    def found(self) -> Found:
        """What the server does, by the probe; looked for once a process. Raises ModelError."""
        asked = self.settings
        key = json.dumps([asked.base_url, asked.model, asked.tokenizer, asked.endpoint])
        if key not in _seen:
            names = ", ".join(self.served.names) or "models that it does not list"
            log.info("%s serves %s; looking what it does", self.settings.base_url, names)
            tokenizer = self._plain_tokenizer
            texts = Texts(tokenizer)
            job = lambda: probe(self.client, tokenizer, self.settings.endpoint, texts)  # noqa: E731
            found = next(self.client.run([job]))[1]
            self._agree(tokenizer, found)
            _seen[key] = found
            for note in found.notes:
                log.warning("%s: %s", self.settings.base_url, note)
        return _seen[key]

    def _agree(self, tokenizer: Tokenizer, found: Found) -> None:
        """Raises ModelError where the server counts other lengths for texts than the tokenizer: then the
        ids that are sent mean something else to it."""
        if found.endpoint != "completions" or not found.counts:
            return
        asked, speaker = self.settings, Speaker(self.client, tokenizer, replace(found, takes_ids=False))
        for text in BATTERY:
            prompted = speaker.prompted(text)
            job = lambda prompted=prompted: speaker.ask(Asked(prompted, 1))  # noqa: E731
            answer = next(self.client.run([job]))[1]
            if answer.read is not None and answer.read != prompted.tokens:
                raise ModelError(
                    f"{asked.base_url}: the tokenizer {asked.tokenizer!r} is not the model's: {text[:40]!r} "
                    f"has {prompted.tokens} tokens by it and {answer.read} on the server. Give the tokenizer "
                    "of the model that is served: server, a hub id or a path"
                )

    @cached_property
    def _speaker(self) -> Speaker:
        return Speaker(self.client, self.tokenizer, self.found)

    @cached_property
    def _scorer(self) -> Scorer:
        way = way_of(self.found, self.settings.scoring)
        if str(way) == "none" or str(way) == "choice ()":
            raise refusal(self.settings.base_url, self.settings.scoring, self.found)
        return Scorer(self._speaker, way)

    def check_labels(self) -> None:
        """See SaysLabels: none where labels cannot be scored, or are chosen only."""
        way = way_of(self.found, self.settings.scoring)
        if way.choice or str(way) == "none":
            only = f", only which label it chooses ({way.choice})" if way.choice else ""
            raise ModelError(f"{self.settings.base_url} gives none{only}")

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._speaker, self.settings.samples)

    @property
    def engine(self) -> str:
        """What computed, for the manifest."""
        found = self.found
        way = str(way_of(found, self.settings.scoring))
        parts = [found.endpoint, f"scoring {way}"]
        parts.append("samples by seed" if found.seeds else "samples not reproducible")
        if not found.top:
            parts.append("no log-probabilities")
        return f"openai ({self.settings.base_url}: {', '.join((*parts, *found.notes))})"

    @cached_property
    def fingerprint(self) -> str:
        """Of model name, address (or `identity`), what the server says lasts of the model, tokenizer,
        endpoint and way of scoring. A server that changes its weights behind all of these cannot be seen."""
        where = self.settings.identity or self.settings.base_url.rstrip("/")
        way = str(way_of(self.found, self.settings.scoring))
        told = [
            self.settings.model,
            where,
            self.served.about,
            self.tokenizer.fingerprint,
            self.found.endpoint,
            way,
            self.found.top if "top_k" in way else 0,
        ]
        return "openai-" + hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel."""
        if not requests:
            return []
        scorer = self._scorer
        jobs: list[Callable[[], Awaitable[Scores]]] = []
        if self.found.endpoint == "chat":
            check_scores(requests)
            for index, request in enumerate(requests):
                prompt = texts_of(self.tokenizer, [request.prompt])[0]
                texts = texts_of(self.tokenizer, request.continuations)
                self._fits(f"score request {index}", prompt, 16)
                jobs.append(scorer.chat_job(prompt, texts))
        else:
            encoded = encode_scores(self.tokenizer, requests, self._limits)
            for one, request in zip(encoded, requests, strict=True):
                jobs.append(scorer.job(one, texts_of(self.tokenizer, request.continuations)))
        return self._collected(jobs, lambda index, scores: scores, on_result)

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel. Log-probabilities that the server does not give are nan."""
        if not requests:
            return []
        encode_prompts(self.tokenizer, requests, self._limits)
        writer = self._writer
        for index, request in enumerate(requests):
            writer.check(index, request)
        jobs = [writer.job(request) for request in requests]

        def made(index: int, written: Written) -> Generation:
            return writer.generation(requests[index], written)

        return self._collected(jobs, made, on_result)

    def _collected(
        self,
        jobs: Sequence[Callable[[], Awaitable[T]]],
        made: Callable[[int, T], R],
        on_result: Callable[[int, R], None] | None,
    ) -> list[R]:
        """Results in order; each goes to `on_result` as it comes, with its share of the time by the clock."""
        results: dict[int, R] = {}
        last = time.perf_counter()
        with closing(self.client.run(jobs)) as arriving:
            for index, answer in arriving:
                result = made(index, answer)
                now = time.perf_counter()
                usage: Usage = replace(result.usage, seconds=now - last)
                last = now
                results[index] = replace(result, usage=usage)
                if on_result is not None:
                    on_result(index, results[index])
        return [results[index] for index in range(len(jobs))]

    @property
    def _limits(self) -> Limits:
        return Limits(ANY_ID, self.context_length - self.found.overhead, self.name)

    def _fits(self, which: str, prompt: str, more: int) -> None:
        tokens = len(self.tokenizer.encode(prompt)) + self.found.overhead + more
        check_length(which, tokens, self.context_length, self.name)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.settings.model!r}, base_url={self.settings.base_url!r})"
