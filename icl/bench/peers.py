"""How people run such workloads with transformers, written as well as a good researcher would.

All score and generate like a `LanguageModel` whose prompts are token ids, over the same network.

naive: one plain forward a sequence (icl.engine.rungs.naive). padded: left-padded batches. shared: the prefix
that all requests have in common prefilled once into a DynamicCache, the rest in padded batches over it.
continuous: transformers' own continuous batching; it generates only.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList

from icl.errors import ModelError
from icl.types import GenerateRequest, Generation, Sample, ScoreRequest, Scores, TokenIds

PAGE = 32
"""Tokens of a page of continuous batching on CPU."""
BATCH_TOKENS = 512
"""Rows that continuous batching forwards at once on CPU."""


class Engine(Protocol):
    """What is measured. Requests hold token ids."""

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Log-probabilities, in the order of the requests."""
        ...

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Generation]:
        """Samples, in the order of the requests."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence to forward, and which continuations can be read off its last logits."""

    ids: TokenIds
    request: int
    continuations: tuple[int, ...]


class PaddedEngine:
    """Left-padded batches of `size`, sequences of similar length together."""

    def __init__(self, network: Any, size: int) -> None:
        self.network = network.eval()
        self.size = size
        self.device = network.device
        self.prefix: TokenIds = ()

    def _prefilled(self, rows: int) -> Any:
        """The cache that a batch of `rows` starts from; None: nothing is shared."""
        return None

    def _pad(self, sequences: Sequence[TokenIds]) -> tuple[Tensor, Tensor, Tensor]:
        """ids, mask [B, T] of what stands after the prefix, and the mask [B, P + T] of the whole."""
        width = max(len(s) for s in sequences)
        ids = torch.tensor([[0] * (width - len(s)) + list(s) for s in sequences], device=self.device)
        mask = torch.tensor([[0] * (width - len(s)) + [1] * len(s) for s in sequences], device=self.device)
        before = mask.new_ones(len(sequences), len(self.prefix))
        return ids, mask, torch.cat([before, mask], dim=1)

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """See Engine. Continuations of one token that differ only in it share a row."""
        found: list[list[tuple[float, ...]]] = [[()] * len(r.continuations) for r in requests]
        rows = sorted(distinct_rows(requests), key=lambda row: len(row.ids))
        for low in range(0, len(rows), self.size):
            batch = rows[low : low + self.size]
            keep = max(len(requests[r.request].continuations[c]) for r in batch for c in r.continuations)
            ids, mask, whole = self._pad([r.ids[len(self.prefix) :] for r in batch])
            logits = self.network(
                input_ids=ids,
                attention_mask=whole,
                position_ids=len(self.prefix) + (mask.cumsum(1) - 1).clamp(min=0),
                past_key_values=self._prefilled(len(batch)),
                use_cache=bool(self.prefix),
                logits_to_keep=keep,
            ).logits
            logprobs = torch.log_softmax(logits.float(), dim=-1)
            for b, row in enumerate(batch):
                for c in row.continuations:
                    asked = torch.tensor(requests[row.request].continuations[c], device=self.device)
                    values = logprobs[b, -len(asked) :].gather(1, asked[:, None])[:, 0]
                    found[row.request][c] = tuple(values.tolist())
        return [Scores(tuple(f)) for f in found]

    @torch.inference_mode()
    def generate(self, requests: Sequence[GenerateRequest]) -> list[Generation]:
        """See Engine: transformers' own `generate`, batch by batch. All requests have the same settings."""
        rows = [(r, tuple(int(i) for i in q.prompt)) for r, q in enumerate(requests) for _ in range(q.n)]
        rows.sort(key=lambda row: len(row[1]))
        samples: list[list[Sample]] = [[] for _ in requests]
        settings = generation_settings(requests)
        for low in range(0, len(rows), self.size):
            batch = rows[low : low + self.size]
            ids, _, whole = self._pad([prompt[len(self.prefix) :] for _, prompt in batch])
            prefix = torch.tensor(self.prefix, dtype=ids.dtype, device=self.device).expand(len(batch), -1)
            heard = Recorder()
            cache = {"past_key_values": self._prefilled(len(batch))} if self.prefix else {}
            with quiet_end(self.network), torch.random.fork_rng():
                torch.manual_seed(low)
                out = self.network.generate(
                    input_ids=torch.cat([prefix, ids], dim=1),
                    attention_mask=whole,
                    generation_config=settings,
                    logits_processor=LogitsProcessorList([heard]),
                    **cache,
                )
            new = out[:, whole.shape[1] :]
            logprobs = heard.logprobs(new)
            for b, (r, _) in enumerate(batch):
                samples[r].append(_sample(new[b].tolist(), logprobs[b].tolist()))
        return [Generation(tuple(s)) for s in samples]


class SharedPrefixEngine(PaddedEngine):
    """The common prefix of all requests is computed once and copied into each batch's cache."""

    def __init__(self, network: Any, size: int) -> None:
        super().__init__(network, size)
        self.cache: Any = None

    def _prefilled(self, rows: int) -> Any:
        if not self.prefix:
            return None
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(rows)
        return cache

    @torch.inference_mode()
    def _prefill(self, prompts: Sequence[TokenIds]) -> None:
        prefix = common_prefix(prompts)
        # each sequence needs a token of its own to be forwarded
        self.prefix = prefix[: min(len(p) for p in prompts) - 1]
        if self.prefix:
            self.cache = DynamicCache(config=self.network.config)
            ids = torch.tensor([self.prefix], device=self.device)
            self.network(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """See Engine."""
        self._prefill([tuple(int(i) for i in r.prompt) for r in requests])
        return super().score(requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Generation]:
        """See Engine."""
        self._prefill([tuple(int(i) for i in r.prompt) for r in requests])
        return super().generate(requests)


class ContinuousEngine:
    """transformers' `generate_batch`: paged keys and values, requests joined and left at every step."""

    def __init__(self, network: Any) -> None:
        self.network = network.eval()

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """It gives no log-probabilities of a text."""
        raise ModelError("continuous batching of transformers does not score")

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Generation]:
        """See Engine. Raises ModelError where transformers loses a request."""
        prompts = [[int(i) for i in r.prompt] for r in requests for _ in range(r.n)]
        before = self.network.config._attn_implementation
        speaker = logging.getLogger("ContinuousBatchingLogger")
        level = speaker.level
        speaker.setLevel(logging.ERROR)  # it warns that nothing ends a sequence, as was asked
        try:
            with quiet_end(self.network), torch.random.fork_rng():
                torch.manual_seed(0)
                found = self.network.generate_batch(
                    prompts,
                    generation_config=generation_settings(requests),
                    continuous_batching_config=self._settings(prompts, requests[0].max_tokens),
                    progress_bar=False,
                )
        finally:
            speaker.setLevel(level)
            self.network.set_attn_implementation(before)
        outputs = list(found.values())
        if len(outputs) != len(prompts) or any(o.error for o in outputs):
            reason = next((o.error for o in outputs if o.error), "requests without an answer")
            raise ModelError(f"continuous batching of transformers failed: {reason}")
        # what it reports for draws is the log-probability at their temperature, not the model's own
        own = requests[0].temperature == 0
        samples = iter([_sample(list(o.generated_tokens), list(o.logprobs) if own else []) for o in outputs])
        return [Generation(tuple(next(samples) for _ in range(r.n))) for r in requests]

    def _settings(self, prompts: Sequence[Sequence[int]], new: int) -> Any:
        """Sized to the work on CPU: left alone, transformers plans with nearly all memory there is and
        masks as long as that, which costs more than the work itself."""
        from transformers import ContinuousBatchingConfig

        if self.network.device.type != "cpu":
            return ContinuousBatchingConfig(return_logprobs=True)
        blocks = sum(-(-(len(p) + new) // PAGE) + 1 for p in prompts)
        return ContinuousBatchingConfig(
            page_size=PAGE, num_blocks=blocks, max_batch_tokens=BATCH_TOKENS, return_logprobs=True
        )


class Recorder(LogitsProcessor):  # type: ignore[misc]
    """Keeps what a sampled token's log-probability needs, a step at a time."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.last: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Called before each draw: input_ids end with the token that the last scores led to."""
        if self.last is not None:
            self.kept.append(_picked(self.last, input_ids[:, -1]))
        self.last = scores
        return scores

    def logprobs(self, new: Tensor) -> Tensor:
        """[B, T] of the tokens `new` that were drawn."""
        if self.last is None:
            return torch.empty(new.shape)
        return torch.stack([*self.kept, _picked(self.last, new[:, -1])], dim=1)


def _picked(scores: Tensor, tokens: Tensor) -> Tensor:
    logits = scores.float()
    return logits.gather(1, tokens[:, None])[:, 0] - torch.logsumexp(logits, dim=-1)


def _sample(ids: list[int], logprobs: list[float]) -> Sample:
    return Sample("", tuple(ids), tuple(logprobs), "length")


def distinct_rows(requests: Sequence[ScoreRequest]) -> list[Row]:
    """The sequences to forward: a continuation without its last token, equal ones of a request once."""
    rows = []
    for r, request in enumerate(requests):
        same: dict[TokenIds, list[int]] = {}
        for c, continuation in enumerate(request.continuations):
            ids = (*request.prompt, *continuation[:-1])
            same.setdefault(ids, []).append(c)  # type: ignore[arg-type]
        rows += [Row(ids, r, tuple(which)) for ids, which in same.items()]
    return rows


def common_prefix(sequences: Sequence[TokenIds]) -> TokenIds:
    """What all sequences begin with."""
    low, high = min(sequences), max(sequences)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: min(same, len(high))]


def generation_settings(requests: Sequence[GenerateRequest]) -> Any:
    """Of a workload: one temperature and one length for all its requests."""
    first = requests[0]
    drawn = first.temperature > 0
    options: dict[str, Any] = {"temperature": first.temperature, "top_k": 0, "top_p": 1.0} if drawn else {}
    return GenerationConfig(
        max_new_tokens=first.max_tokens, do_sample=drawn, pad_token_id=0, eos_token_id=None, **options
    )


@contextlib.contextmanager
def quiet_end(network: Any) -> Iterator[None]:
    """Ends of sequence are ignored: `generate` fills what a call leaves open from the model's settings."""
    settings = network.generation_config
    network.generation_config = GenerationConfig(pad_token_id=0)
    try:
        yield
    finally:
        network.generation_config = settings
