"""The oracle: one plain transformers forward a sequence, nothing shared, nothing batched.

It is checked too: that the network is a causal one, and that the cache it writes with gives what
plain forwards give (icl.engine.rungs.continuing).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from icl.engine.decoding.sampling import UniformStream, draw_batch
from icl.engine.decoding.stopping import StopWatcher
from icl.engine.requests.encoding import relative_to_another
from icl.engine.requests.finite import NotFinite
from icl.engine.rungs.continuing import Way, choose_way
from icl.engine.rungs.identity import Identity
from icl.engine.rungs.plain import plain_logits, virtual_tokens
from icl.engine.rungs.probe import moving_positions, probe_sequences, reach
from icl.errors import ModelError
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.training import Root
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, TokenIds, Usage


class NaiveModel(Identity):
    """LanguageModel over a transformers causal LM, written to be obviously right.

    A root, or virtual tokens that peft puts before every text, take their part of `context_length`.
    """

    engine = "naive engine"
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
    ) -> None:
        self.model = model.eval()
        room = context_length - virtual_tokens(model)
        super().__init__(model, tokenizer, name=name, context_length=room, fingerprint=fingerprint, root=root)
        self._way: Way | None = None

    @torch.inference_mode()
    def check(self) -> None:
        """Raises ModelError where plain forwards are no oracle: the network is not causal, or not steady."""
        [text, *_] = probe_sequences(self.model, min(12, self.context_length))
        family = type(self.model).__name__
        whole, again = self._logits(text), self._logits(text)
        if not torch.equal(whole.nan_to_num(), again.nan_to_num()):
            raise ModelError(f"{self.name}: {family} gives other logits for the same text every time")
        if moving_positions(self.model, len(text) + self.root_length):
            return
        half = self._logits(text[: len(text) // 2])
        gap = float((whole[: len(half)] - half).abs().nan_to_num().max())
        rounding = max(1e-4, 4 * torch.finfo(next(self.model.parameters()).dtype).eps)
        if gap > rounding * max(1.0, float(whole.abs().nan_to_num().max())):
            raise ModelError(
                f"{self.name}: {family} is not a causal language model as it is configured: what follows a "
                f"token changes its logits, by {gap:.2g}"
            )

    def _logits(self, ids: TokenIds) -> Tensor:
        return plain_logits(self.model, ids, self.root)

    @property
    @torch.inference_mode()
    def way(self) -> Way:
        """How it goes on from a text; found out once, when it first writes."""
        if self._way is None:
            length, _ = reach(self.model, self.context_length, ())
            [text, *_] = probe_sequences(self.model, length)
            moving = moving_positions(self.model, self.context_length + self.root_length)
            self._way = choose_way(self.model, text, moving, self.name, self.root)
        return self._way

    @torch.inference_mode()
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
            flat = request.flat + len(rows) * self.root_forwarded
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
            flat = request.n * (len(prompt) - 1 + self.root_forwarded) + generated
            result = Generation(samples, Usage(flat, flat, generated, time.perf_counter() - started))
            results.append(result)
            if on_result is not None:
                on_result(index, result)
        return results

    @torch.inference_mode()
    def _sample(self, request: GenerateRequest, prompt: TokenIds, number: int) -> StopWatcher:
        watcher = StopWatcher(request, self.tokenizer)
        uniform = UniformStream(request.seed, prompt, number)
        text = self.way(self.model, self.root)
        new: Sequence[int] = prompt
        while watcher.reason is None:
            logits = text.extend(new)[None]
            context = (*prompt, *watcher.ids) if request.no_repeat_ngram else ()
            [(token, logprob)] = draw_batch(logits, [request], [uniform], [context], [watcher.ids])
            watcher.push(token, logprob)
            new = (token,)
        return watcher
