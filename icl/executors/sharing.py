"""A call's requests as tasks for so many workers: how large, and of what weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.engine.requests.encoding import encode_texts
from icl.engine.trie.preorder import Int, as_arrays
from icl.executors.contract import Kind
from icl.executors.cutting import TASKS_PER_WORKER, CutReport, Loads, cut_for_workers, writing_work
from icl.protocols import Tokenizer
from icl.types import ScoreRequest

LEAST_TOKENS = 4096
"""Of a task, where there are as many: two chunks of the engine. Smaller ones leave it half empty."""
LEAST_TEXTS = 128
"""Texts that a task writes, where there are as many: the engine writes so many side by side."""
ENCODED_AT_ONCE = 1000


def share(
    kind: Kind, requests: Sequence[Any], tokenizer: Tokenizer, workers: int
) -> tuple[list[Int], CutReport]:
    """Indices of the requests of each task, heaviest first, and what the cut costs."""
    prompts = _prompts(requests, tokenizer)
    if kind == "generate":
        _, below = writing_work((), requests)
        texts = sum(request.n for request in requests)
    else:
        below, texts = _reading(requests, tokenizer), 0
    read = int(sum(map(len, prompts)) + below.sum())
    return cut_for_workers(prompts, below, workers, per_worker=tasks_per_worker(read, texts, workers))


def tasks_per_worker(read: int, texts: int, workers: int) -> int:
    """How many tasks a worker gets at most, so that none is small. read: tokens of all requests, each alone;
    texts: how many are written, 0 where continuations are scored."""
    room = texts // LEAST_TEXTS if texts else read // LEAST_TOKENS
    return max(1, min(TASKS_PER_WORKER, room // workers))


def _prompts(requests: Sequence[Any], tokenizer: Tokenizer) -> list[NDArray[np.int32]]:
    """In ids, some at a time: as arrays they take a tenth of the memory."""
    prompts: list[NDArray[np.int32]] = []
    for low in range(0, len(requests), ENCODED_AT_ONCE):
        part = requests[low : low + ENCODED_AT_ONCE]
        prompts += as_arrays(encode_texts(tokenizer, [request.prompt for request in part]))
    return prompts


def _reading(requests: Sequence[ScoreRequest], tokenizer: Tokenizer) -> Loads:
    """Tokens of continuations. Each is encoded on its own, once: that is near enough for a weight, and a
    prompt need not be encoded once a label."""
    known: dict[Any, int] = {}
    return np.array([_read(request, tokenizer, known) for request in requests], dtype=np.float64)


def _read(request: ScoreRequest, tokenizer: Tokenizer, known: dict[Any, int]) -> int:
    """The last token of a continuation is predicted and not forwarded."""
    for text in request.continuations:
        if text not in known:
            known[text] = max(len(encode_texts(tokenizer, [text])[0]) - 1, 0)
    return sum(known[text] for text in request.continuations)
