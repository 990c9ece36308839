"""The part of vLLM that the backend uses, on a tiny network: what it takes, refuses and returns.

As read in vllm 0.32: prompts as token ids, `SamplingParams` with names of its own, named tokens after the
text beside the one that was drawn, `prompt_logprobs` past the prefix cache, the cache in blocks, seed + index
for sample `index`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tests.engine.tiny import IntegerTokenizer

MOST_NAMED = 128


@dataclass
class SamplingParams:
    """Unknown names are a TypeError, as there."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    detokenize: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature must be in [0, 2], got {self.temperature}.")
        if self.temperature == 0 and self.n > 1:
            raise ValueError(f"n must be 1 when using greedy sampling, got {self.n}.")
        if len(self.logprob_token_ids or ()) > MOST_NAMED:
            raise ValueError("Requested logprob_token_ids of length greater than max allowed")
        if self.stop and not self.detokenize:
            raise ValueError("stop strings are only supported when detokenize is True")


@dataclass
class LLM:
    """Plain forwards; `calls` keeps what was asked in which order."""

    model: str
    dtype: str
    max_model_len: int
    enable_prefix_caching: bool
    generation_config: str
    trust_remote_code: bool
    tensor_parallel_size: int
    gpu_memory_utilization: float
    enforce_eager: bool
    block_size: int = 16
    calls: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = AutoModelForCausalLM.from_pretrained(self.model).float().eval()
        cache = SimpleNamespace(block_size=self.block_size)
        self.llm_engine = SimpleNamespace(vllm_config=SimpleNamespace(cache_config=cache))
        self.tokenizer = IntegerTokenizer()
        self._held: set[tuple[int, ...]] = set()
        opened.append(self)

    def generate(
        self, prompts: list[dict[str, list[int]]], params: list[SamplingParams], *, use_tqdm: bool
    ) -> list[Any]:
        return [self._answer(tuple(p["prompt_token_ids"]), s) for p, s in zip(prompts, params, strict=True)]

    @torch.inference_mode()
    def _logprobs(self, ids: tuple[int, ...]) -> torch.Tensor:
        return self.network(torch.tensor([ids])).logits[0].float().log_softmax(-1)

    def _cached(self, ids: tuple[int, ...], settings: SamplingParams) -> int:
        """Tokens of whole blocks that are held, but for the last token; then all blocks of the text are."""
        ends = range(self.block_size, len(ids) + 1, self.block_size)
        most = 0 if settings.prompt_logprobs is not None else len(ids) - 1
        found = max((e for e in ends if e <= most and ids[:e] in self._held), default=0)
        self._held.update(ids[:e] for e in ends)
        return found

    def _answer(self, ids: tuple[int, ...], settings: SamplingParams) -> Any:
        if len(ids) + settings.max_tokens > self.max_model_len:
            raise ValueError(
                "The decoder prompt plus the requested output tokens is longer than max_model_len"
            )
        self.calls.append(ids)
        cached = self._cached(ids, settings)
        inside = None
        if settings.prompt_logprobs is not None:
            rows = self._logprobs(ids)
            inside = [None, *({t: _value(rows[at, t])} for at, t in enumerate(ids[1:]))]
        return SimpleNamespace(
            prompt_token_ids=list(ids),
            prompt_logprobs=inside,
            num_cached_tokens=cached,
            outputs=[self._sample(ids, settings, index) for index in range(settings.n)],
        )

    def _sample(self, ids: tuple[int, ...], settings: SamplingParams, index: int) -> Any:
        seed = None if settings.seed is None else settings.seed + index
        draw = torch.Generator().manual_seed(seed) if seed is not None else None
        made: list[int] = []
        told: list[dict[int, Any]] = []
        reason = "length"
        while len(made) < settings.max_tokens:
            row = self._logprobs((*ids, *made))[-1]
            token = self._draw(_penalised(row, settings, made), settings, draw)
            named = settings.logprob_token_ids or ()
            made.append(token)
            told.append({t: _value(row[t]) for t in (token, *named)})
            if not settings.ignore_eos and token in (settings.stop_token_ids or ()):
                reason = "stop"
                break
            if any(stop in self.tokenizer.decode(made) for stop in settings.stop or ()):
                reason = "stop"
                break
        logprobs = told if settings.logprobs is not None or settings.logprob_token_ids else None
        return SimpleNamespace(
            index=index, text="", token_ids=made, logprobs=logprobs, finish_reason=reason, stop_reason=None
        )

    def _draw(self, row: torch.Tensor, settings: SamplingParams, draw: torch.Generator | None) -> int:
        if settings.temperature == 0:
            return int(row.argmax())
        row = row / settings.temperature
        if settings.top_k:
            row = row.masked_fill(row < row.topk(settings.top_k).values[-1], -math.inf)
        return int(torch.multinomial(row.softmax(-1), 1, generator=draw))


def _penalised(row: torch.Tensor, settings: SamplingParams, made: list[int]) -> torch.Tensor:
    """As vLLM says it: tokens of the output, once and as often as they are there."""
    row = row.clone()
    for token in set(made):
        row[token] -= settings.presence_penalty + settings.frequency_penalty * made.count(token)
    return row


def _value(logprob: torch.Tensor) -> Any:
    return SimpleNamespace(logprob=float(logprob))


opened: list[LLM] = []
"""Every LLM that was made."""


def module() -> ModuleType:
    """To stand in for `vllm` in sys.modules."""
    made = ModuleType("vllm")
    made.__spec__ = ModuleSpec("vllm", None)
    for name, value in {"LLM": LLM, "SamplingParams": SamplingParams, "__version__": "0.32.0"}.items():
        setattr(made, name, value)
    return made
