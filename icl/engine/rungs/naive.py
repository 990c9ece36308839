"""The oracle: one plain transformers forward a sequence, nothing shared, nothing batched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from icl.engine.decoding.sampling import UniformStream, draw_batch
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.requests.encoding import relative_to_another
from icl.engine.requests.finite import NotFinite
from icl.engine.rungs.identity import Identity
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, TokenIds, Usage


class NaiveModel(Identity):
    """LanguageModel over a transformers causal LM, written to be obviously right."""

    engine = "naive engine"
    """What computes, for the manifest of a run."""

    def __init__(
        self, model: Any, tokenizer: Tokenizer, *, name: str, context_length: int, fingerprint: str
    ) -> None:
        self.model = model.eval()
        super().__init__(model, tokenizer, name=name, context_length=context_length, fingerprint=fingerprint)

    @torch.inference_mode()
    def _logits(self, ids: Sequence[int]) -> Tensor:
        """[T, V] fp32 logits of one sequence."""
        tokens = torch.tensor([list(ids)], device=self.model.device)
        return self.model(input_ids=tokens, use_cache=False).logits[0].float()  # type: ignore[no-any-return]

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel.score."""
        results = []
        for index, request in enumerate(self.encoded_scores(requests)):
            started = time.perf_counter()
            rows = []
            for continuation in request.continuations:
                ids = (*request.prompt, *continuation)
                logprobs = torch.log_softmax(self._logits(ids[:-1])[len(request.prompt) - 1 :], dim=-1)
                picked = logprobs[torch.arange(len(continuation)), torch.tensor(continuation)]
                if not torch.isfinite(picked).all():
                    raise NotFinite(f"score request {index}", "its log-probabilities are not finite")
                rows.append(tuple(picked.tolist()))
            if request.relative:
                rows = relative_to_another(rows)
            flat = request.flat
            result = Scores(tuple(rows), Usage(flat, flat, 0, time.perf_counter() - started))
            results.append(result)
            if on_result is not None:
                on_result(index, result)
        return results

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel.generate."""
        results = []
        prompts = self.encoded_prompts(requests)
        for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            started = time.perf_counter()
            numbers = range(request.first_sample, request.first_sample + request.n)
            watchers = [self._sample(request, prompt, number) for number in numbers]
            samples = tuple(
                Sample(w.text, tuple(w.ids), tuple(w.logprobs), w.reason or "length") for w in watchers
            )
            generated = sum(len(s.token_ids) for s in samples)
            flat = request.n * len(prompt) + generated - request.n
            result = Generation(samples, Usage(flat, flat, generated, time.perf_counter() - started))
            results.append(result)
            if on_result is not None:
                on_result(index, result)
        return results

    @torch.inference_mode()
    def _sample(self, request: GenerateRequest, prompt: TokenIds, number: int) -> StopWatcher:
        watcher = StopWatcher(request, self.tokenizer)
        uniform = UniformStream(request.seed, prompt, number)
        cache = DynamicCache(config=self.model.config)
        new: Sequence[int] = prompt
        while watcher.reason is None:
            tokens = torch.tensor([list(new)], device=self.model.device)
            logits = (
                self.model(input_ids=tokens, past_key_values=cache, use_cache=True).logits[0, -1:].float()
            )
            context = (*prompt, *watcher.ids) if request.no_repeat_ngram else ()
            [(token, logprob)] = draw_batch(logits, [request], [uniform], [context])
            watcher.push(token, logprob)
            new = (token,)
        return watcher
