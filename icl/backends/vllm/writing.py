"""Samples by vLLM: what a request says in its words, and what came back in icl's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from icl.engine.decoding.stopping import StopWatcher
from icl.errors import RequestError
from icl.protocols import Tokenizer
from icl.types import GenerateRequest, Sample, TokenIds

HOTTEST = 2.0
"""vLLM refuses temperatures above."""


def check_writing(requests: Sequence[GenerateRequest]) -> None:
    """RequestError for the first request that vLLM has no way to answer."""
    for index, request in enumerate(requests):
        if request.no_repeat_ngram:
            raise RequestError(
                f"generate request {index}: no_repeat_ngram is {request.no_repeat_ngram}; vllm cannot ban "
                "n-grams. Allowed: 0, or icl's own engine"
            )
        if request.temperature > HOTTEST:
            raise RequestError(
                f"generate request {index}: temperature is {request.temperature}; "
                f"vllm allows 0 to {HOTTEST:g}"
            )


def seed_of(request: GenerateRequest, prompt: TokenIds) -> int:
    """Of the first sample. vLLM adds the index of a sample to it, so that sample i of a prompt is the same
    however many are asked for, from whichever on."""
    digest = hashlib.blake2b(f"{request.seed} {prompt}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "little") + request.first_sample


def sampling_of(
    request: GenerateRequest, prompt: TokenIds, eos_ids: frozenset[int], *, stops: bool = True
) -> dict[str, Any]:
    """Keywords of SamplingParams. stops: False leaves the stop strings to whoever reads the samples.

    All samples of a greedy request are one.
    """
    greedy = request.temperature == 0
    return {
        "n": 1 if greedy else request.n,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_k": 0 if greedy else request.top_k,
        "top_p": 1.0 if greedy else request.top_p,
        "seed": None if greedy else seed_of(request, prompt),
        "stop": list(request.stop) if stops and request.stop else None,
        "stop_token_ids": None if request.ignore_eos else sorted(eos_ids),
        "ignore_eos": request.ignore_eos,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "logprobs": 0,
    }


def read_samples(
    request: GenerateRequest, outputs: Sequence[Any], tokenizer: Tokenizer
) -> tuple[Sample, ...] | None:
    """Samples in the order of their index. None where one was stopped by a string inside a thinking block,
    which ends nothing: ask again without stop strings.

    outputs: vLLM's CompletionOutputs.
    """
    samples = []
    for output in sorted(outputs, key=lambda one: one.index):
        watcher = StopWatcher(request, tokenizer)
        for token, at in zip(output.token_ids, output.logprobs, strict=True):
            if watcher.push(int(token), float(at[token].logprob)) is not None:
                break
        if watcher.reason is None:
            return None
        drawn, logprobs = tuple(watcher.ids), tuple(watcher.logprobs)
        samples.append(Sample(watcher.text, drawn, logprobs, watcher.reason))
    return tuple(samples * request.n if request.temperature == 0 else samples)
