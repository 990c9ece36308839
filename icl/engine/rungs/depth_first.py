"""Sharing without any knowledge of the model: one path at a time, with a key-value cache.

The sequences are visited in sorted order. Before each one the cache is cut back to the prefix that
it shares with its predecessor, then its own tokens are forwarded, so every token of the trie is
still forwarded once. Nothing is batched, so this is slower than the trie engine; but the model's
own attention runs, whatever its positions (rotary, ALiBi, learned), and the result is exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from icl.engine.decoding.sampling import UniformStream, draw_batch
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.forward.scoring import plan_scores, score_rows
from icl.engine.rungs.identity import Identity
from icl.engine.rungs.root import PlantedRoot
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.training import Root
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, TokenIds, Usage

CHUNK_ROWS = 256
"""Tokens forwarded at once: bounds the [rows, vocabulary] logits of a plain forward."""


def columns(hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
    """The head's part where the rows are logits already: their columns `tokens`, or all."""
    return hidden if tokens is None else hidden[:, tokens]


class CachedPath:
    """The path that the cache holds, `length` tokens below the root; `extend` grows it, `cut` shrinks it."""

    def __init__(self, model: Any, root: PlantedRoot | None = None) -> None:
        self.model = model
        # no configuration: every layer keeps all its keys, so that any of them can be cut; the
        # model's masks still apply its windows
        self.cache = DynamicCache() if root is None else root.cache()
        self.length = 0

    def cut(self, length: int) -> None:
        """Forgets everything from depth `length` on."""
        if length < self.length:
            self.cache.crop(length - self.length)
            self.length = length

    def extend(self, tokens: Sequence[int]) -> Tensor:
        """Forwards tokens[n] after the path; logits [n, V] in fp32."""
        ids = torch.tensor([list(tokens)], device=self.model.device)
        output = self.model(input_ids=ids, past_key_values=self.cache, use_cache=True)
        self.length += len(tokens)
        logits: Tensor = output.logits[0].float()
        return logits


class CachedDfsModel(Identity):
    """LanguageModel over any transformers causal LM whose cache is a `DynamicCache`.

    chunk_rows: tokens forwarded at once; it changes memory, not results.
    """

    engine = "depth-first engine"
    """What computes, for the manifest of a run."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        name: str,
        context_length: int,
        fingerprint: str,
        root: Root | None = None,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self.model = model.eval()
        super().__init__(
            model, tokenizer, name=name, context_length=context_length, fingerprint=fingerprint, root=root
        )
        self.chunk_rows = chunk_rows

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel.score."""
        if not requests:
            return []
        encoded = self.encoded_scores(requests)
        plan = plan_scores(encoded)
        layout, trie = plan.layout, plan.layout.trie
        values = np.zeros(len(plan.targets.slots))
        results: dict[int, Scores] = {}
        waiting = np.argsort(plan.targets.last_row, kind="stable").tolist()[::-1]
        path = CachedPath(self.model, self.root)
        for s in range(len(trie.order)):
            path.cut(int(trie.shared[s]))
            for low in range(int(trie.starts[s]), int(trie.starts[s + 1]), self.chunk_rows):
                high = min(low + self.chunk_rows, int(trie.starts[s + 1]))
                started = time.perf_counter()
                logits = path.extend(layout.tokens[low:high].tolist())
                score_rows(logits, low, plan.targets, columns, values)
                per_row = (time.perf_counter() - started) / (high - low)
                while waiting and plan.targets.last_row[waiting[-1]] < high:
                    r = waiting.pop()
                    rows = tuple(
                        tuple(values[offset : offset + len(c)].tolist())
                        for offset, c in zip(plan.offsets[r], encoded[r].continuations, strict=True)
                    )
                    unique = int(plan.unique[r])
                    flat = encoded[r].flat + len(rows) * self.root_forwarded
                    results[r] = Scores(rows, Usage(flat, unique, 0, per_row * unique))
                    if on_result is not None:
                        on_result(r, results[r])
        return [results[r] for r in range(len(requests))]

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel.generate. The samples of a prompt continue one cached path in turn."""
        prompts = self.encoded_prompts(requests)
        askers: dict[TokenIds, list[int]] = {}
        for r, prompt in enumerate(prompts):
            askers.setdefault(prompt, []).append(r)
        results: dict[int, Generation] = {}
        path = CachedPath(self.model, self.root)
        for prompt, new, first_logits in self._prefilled(path, list(askers)):
            for r in askers[prompt]:
                started = time.perf_counter()
                request = requests[r]
                numbers = range(request.first_sample, request.first_sample + request.n)
                watchers = [self._sample(path, request, prompt, n, first_logits) for n in numbers]
                samples = tuple(
                    Sample(w.text, tuple(w.ids), tuple(w.logprobs), w.reason or "length") for w in watchers
                )
                generated = sum(len(s.token_ids) for s in samples)
                # the last token of a sample is not forwarded
                usage = Usage(
                    request.n * (len(prompt) - 1 + self.root_forwarded) + generated,
                    new + generated - request.n,
                    generated,
                    time.perf_counter() - started,
                )
                new = 0  # the prompt is booked on the first request that has it
                results[r] = Generation(samples, usage)
                if on_result is not None:
                    on_result(r, results[r])
        return [results[r] for r in range(len(requests))]

    def _prefilled(
        self, path: CachedPath, distinct: Sequence[TokenIds]
    ) -> Iterator[tuple[TokenIds, int, Tensor]]:
        """Each of the prompts when `path` holds it: (prompt, tokens forwarded for it, logits [V])."""
        trie = build_trie(as_arrays(distinct))
        for s, index in enumerate(trie.order.tolist()):
            prompt, shared = distinct[index], int(trie.shared[s])
            path.cut(shared)
            for low in range(shared, len(prompt), self.chunk_rows):
                logits = path.extend(prompt[low : low + self.chunk_rows])[-1]
            yield prompt, len(prompt) - shared, logits

    def _sample(
        self, path: CachedPath, request: GenerateRequest, prompt: TokenIds, number: int, first: Tensor
    ) -> StopWatcher:
        watcher = StopWatcher(request, self.tokenizer)
        uniform = UniformStream(request.seed, prompt, number)
        logits = first[None]
        while True:
            context = (*prompt, *watcher.ids) if request.no_repeat_ngram else ()
            [(token, logprob)] = draw_batch(logits, [request], [uniform], [context], [watcher.ids])
            if watcher.push(token, logprob) is not None:
                path.cut(len(prompt))
                return watcher
            logits = path.extend((token,))
