"""A language model that never computes a response twice.

A score request is one entry. A generation is one entry a sample: the i-th sample of a prompt is
always the same, and no two samples can come from one entry. The key holds the text of the prompt,
which together with the model's fingerprint (weights, tokenizer, precision) fixes its token ids.
What a response cost is kept with it, so that costs are the same after a run was resumed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol, TypeVar

from icl.engine.requests.validation import check_generations, check_scores
from icl.errors import ModelError
from icl.experiments.asking.infront import InFront
from icl.experiments.asking.responses import ResponseStore
from icl.protocols import LanguageModel, OnGeneration, OnScores
from icl.types import (
    NO_USAGE,
    GenerateRequest,
    Generation,
    Sample,
    ScoreRequest,
    Scores,
    Text,
    Usage,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


class Observer(Protocol):
    """Is told what goes on between cache and model."""

    def response(self, usage: Usage, cached: bool) -> None:
        """What a response cost and whether it came from the cache."""
        ...

    def expects(self, requests: int) -> None:
        """Requests that the model is about to be asked."""
        ...


class CachedModel(InFront):
    """`LanguageModel` in front of another. `model` None answers from the store alone."""

    def __init__(
        self,
        model: LanguageModel | None,
        store: ResponseStore,
        *,
        observer: Observer | None = None,
        stands_for: LanguageModel | None = None,
    ) -> None:
        known = model if model is not None else stands_for
        if known is None:
            raise ValueError("CachedModel needs a model, or one that it stands for")
        super().__init__(known)
        self._model = model
        self._store = store
        self._observer = observer

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """Each request once, from the store where it is there."""
        check_scores(requests)
        fingerprint = self.fingerprint  # once a call: it may look at the weights
        keys = [_score_key(fingerprint, request) for request in requests]
        wanted = dict(zip(keys, requests, strict=True))
        have = self._known(keys, lambda key, text: _scores_from(text, len(wanted[key].continuations)))
        computed = {key for key in wanted if key not in have}
        self._compute_scores({key: wanted[key] for key in keys if key in computed}, have)
        results = []
        for index, key in enumerate(keys):
            result = have[key]
            results.append(result)
            if key not in computed:
                self._told(result.usage, True)
            if on_result is not None:
                on_result(index, result)
        return results

    def _compute_scores(self, missing: dict[bytes, ScoreRequest], have: dict[bytes, Scores]) -> None:
        if not missing:
            return
        keys = list(missing)
        if self._observer is not None:
            self._observer.expects(len(keys))

        def keep(index: int, result: Scores) -> None:
            key = keys[index]
            if key not in have:
                text = _scores_text(result)
                have[key] = _scores_from(text)
                self._store.put(key, text)
                self._told(result.usage, False)

        try:
            for index, result in enumerate(self._asked().score(list(missing.values()), keep)):
                keep(index, result)
        finally:
            self._store.commit()

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """Each sample once, from the store where it is there. Greedy samples are all the same."""
        check_generations(requests)
        fingerprint = self.fingerprint
        plans = [_SamplePlan.of(fingerprint, request) for request in requests]
        keys = [key for plan in plans for key in plan.keys]
        have = self._known(keys, lambda key, text: _sample_from(text))
        stored = set(have)
        self._compute_samples(plans, have)
        results = []
        for index, plan in enumerate(plans):
            parts = [have[key] for key in plan.keys]
            usage = sum((part[1] for part in parts), start=NO_USAGE)
            samples = [part[0] for part in parts]
            result = Generation(tuple(samples * plan.copies), usage)
            results.append(result)
            if all(key in stored for key in plan.keys):
                self._told(usage, True)
            if on_result is not None:
                on_result(index, result)
        return results

    def _compute_samples(self, plans: Sequence[_SamplePlan], have: dict[bytes, tuple[Sample, Usage]]) -> None:
        """Asks the samples that are missing as runs of consecutive indices of one prompt."""
        wanted: dict[bytes, dict[int, bytes]] = defaultdict(dict)
        template: dict[bytes, GenerateRequest] = {}
        for plan in plans:
            for sample, key in zip(plan.indices, plan.keys, strict=True):
                if key not in have:
                    wanted[plan.base][sample] = key
                    template[plan.base] = plan.request
        asks: list[GenerateRequest] = []
        ask_keys: list[list[bytes]] = []
        for base, samples in wanted.items():
            for run in _runs(sorted(samples)):
                asks.append(replace(template[base], first_sample=run[0], n=len(run)))
                ask_keys.append([samples[i] for i in run])
        if not asks:
            return
        if self._observer is not None:
            self._observer.expects(len(asks))

        def keep(index: int, result: Generation) -> None:
            keys = ask_keys[index]
            if keys[0] in have:
                return
            if len(result.samples) != len(keys):
                raise ModelError(f"{self.name} returned {len(result.samples)} samples, not {len(keys)}")
            shares = _shares(result.usage, len(keys))
            for key, sample, usage in zip(keys, result.samples, shares, strict=True):
                text = _sample_text(sample, usage)
                have[key] = _sample_from(text)
                self._store.put(key, text)
            self._told(result.usage, False)

        try:
            for index, result in enumerate(self._asked().generate(asks, keep)):
                keep(index, result)
        finally:
            self._store.commit()

    def _known(self, keys: Sequence[bytes], read: Callable[[bytes, str], T]) -> dict[bytes, T]:
        """What the store has and can be read; the rest is asked again and then takes its place."""
        have: dict[bytes, T] = {}
        strange = 0
        for key, text in self._store.get(list(dict.fromkeys(keys))).items():
            try:
                have[key] = read(key, text)
            except (ValueError, TypeError, RecursionError):
                self._store.distrust(key)
                strange += 1
        if strange:
            log.warning("%d responses in the cache cannot be read; they are asked again.", strange)
        return have

    def _told(self, usage: Usage, cached: bool) -> None:
        if self._observer is not None:
            self._observer.response(usage, cached)

    def _asked(self) -> LanguageModel:
        if self._model is None:
            raise ModelError(f"a response of {self.name} is not in the cache, and the model is not loaded")
        return self._model


def _score_key(fingerprint: str, request: ScoreRequest) -> bytes:
    kind = "relative" if request.relative else "score"
    return _key(fingerprint, kind, request.prompt, *request.continuations)


@dataclass(frozen=True, slots=True)
class _SamplePlan:
    """One generate request as entries: the request asked for, its sample indices and their keys."""

    request: GenerateRequest
    base: bytes
    indices: tuple[int, ...]
    keys: tuple[bytes, ...]
    copies: int = 1

    @classmethod
    def of(cls, fingerprint: str, request: GenerateRequest) -> _SamplePlan:
        copies = 1
        if request.temperature == 0:  # greedy: neither seed nor sample index has a say
            copies = request.n
            request = replace(request, seed=0, first_sample=0, n=1, top_k=0, top_p=1.0)
        indices = tuple(range(request.first_sample, request.first_sample + request.n))
        plain = replace(request, prompt="", n=1, first_sample=0, continued=False)
        *parameters, form, think, presence, frequency = astuple(plain)
        if form:  # left out where empty: caches that were written before there was such a field stay good
            parameters.append([int(token) for token in form])
        if think:
            parameters.append({"think": think})
        if presence or frequency:
            parameters.append({"penalties": [float(presence), float(frequency)]})
        base = _key(fingerprint, "generate", request.prompt, json.dumps(parameters))
        keys = tuple(hashlib.blake2b(base + struct.pack("<q", i), digest_size=16).digest() for i in indices)
        return cls(request, base, indices, keys, copies)


def _key(fingerprint: str, kind: str, *texts: Text) -> bytes:
    """16 bytes; each part with its length, so that no two lists of parts run together."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (fingerprint, kind, *texts):
        if isinstance(part, str):
            data, tag = part.encode("utf-8", "surrogatepass"), b"t"
        else:
            data, tag = struct.pack(f"<{len(part)}I", *part), b"i"
        digest.update(tag + struct.pack("<q", len(data)) + data)
    return digest.digest()


def _runs(indices: Iterable[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for index in indices:
        if run and index != run[-1] + 1:
            yield run
            run = []
        run.append(index)
    if run:
        yield run


def _shares(usage: Usage, n: int) -> list[Usage]:
    """The cost of n samples as n costs that add up to it."""

    def split(total: int) -> list[int]:
        return [total // n + (i < total % n) for i in range(n)]

    whole = zip(
        split(usage.tokens_flat),
        split(usage.tokens_unique),
        split(usage.tokens_generated),
        split(usage.requests),
        strict=True,
    )
    return [Usage(flat, unique, made, usage.seconds / n, asked) for flat, unique, made, asked in whole]


def _scores_text(scores: Scores) -> str:
    tokens = [[float(x) for x in line] for line in scores.token_logprobs]
    parts: list[Any] = [tokens, astuple(scores.usage)]
    if scores.bounded:  # left out where there is none: caches from before there was such a field stay good
        parts.append(list(scores.bounded))
    return json.dumps(parts, separators=(",", ":"))


def _scores_from(text: str, continuations: int | None = None) -> Scores:
    """ValueError or TypeError for what is no answer to so many continuations."""
    tokens, usage, *rest = json.loads(text)
    if continuations is not None and len(tokens) != continuations:
        raise ValueError(f"{len(tokens)} scores for {continuations} continuations")
    return Scores(tuple(tuple(float(x) for x in line) for line in tokens), Usage(*usage), tuple(*rest))


def _sample_text(sample: Sample, usage: Usage) -> str:
    ids, logprobs = [int(i) for i in sample.token_ids], [float(x) for x in sample.logprobs]
    return json.dumps([sample.text, ids, logprobs, sample.stop_reason, astuple(usage)], separators=(",", ":"))


def _sample_from(text: str) -> tuple[Sample, Usage]:
    fields: list[Any] = json.loads(text)
    words, ids, logprobs, reason, usage = fields
    if not isinstance(words, str):
        raise TypeError(f"a text that is {words!r}")
    return Sample(words, tuple(ids), tuple(logprobs), reason), Usage(*usage)
