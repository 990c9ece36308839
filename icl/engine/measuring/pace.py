"""How fast a model would run here, without its weights: one and two layers of its shape, drawn at random.

What a layer costs is the difference of the two; the rest of the model is what the first has beside it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil

from icl.engine.forward.chunks import default_sizes
from icl.engine.loading.files import load_tokenizer, local_folder
from icl.engine.loading.sources import resolve
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.protocols import LanguageModel, Tokenizer
from icl.types import GenerateRequest, ScoreRequest

READ_TOKENS = 768
"""Of one prompt: about a prompt with eight demonstrations, in one chunk."""
WRITE_PROMPT, SAMPLES, STEPS = 128, 32, 7
ROUNDS = 3
LEAST_LAYER = 0.02
"""Of the time of one layer with all that stands around it: what a layer takes at least, so that noise
does not make it free."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Tokens a second, read and written."""

    read: float
    write: float
    others: float = 0.0
    """Share of the processor that other programs took meanwhile: where it is large, the rates say little."""


def measure_pace(
    model: str,
    dtype: str | None = None,
    engine: str = "trie",
    samples: int = SAMPLES,
    context: int = WRITE_PROMPT,
) -> Pace:
    """A few seconds of work, writing that many texts side by side (as many as there are slots, at most)
    below a prompt of `context` tokens.

    Raises ModelError if the model's configuration cannot be read.
    """
    import torch
    from transformers import AutoConfig

    source = resolve(model)
    config = AutoConfig.from_pretrained(local_folder(source)[0], trust_remote_code=False)
    precision = dtype or ("bfloat16" if torch.cuda.is_available() else "float32")
    layers = int(config.get_text_config().num_hidden_layers)
    tokenizer = load_tokenizer(model)
    engines = [_engine(config, few, precision, tokenizer, engine) for few in (1, 2)]
    _, slots = default_sizes(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    # the naive engine writes one text after another
    samples = 1 if engine == "naive" else max(1, min(samples, slots))
    vocabulary = int(config.get_text_config().vocab_size)
    before = _used()
    (one_read, two_read), (one_write, two_write) = _seconds(
        engines, vocabulary, samples, min(max(context, 1), READ_TOKENS)
    )
    everyone, own, available = (now - then for now, then in zip(_used(), before, strict=True))
    read = one_read + (layers - 1) * max(two_read - one_read, LEAST_LAYER * one_read)
    write = one_write + (layers - 1) * max(two_write - one_write, LEAST_LAYER * one_write)
    others = min(max((everyone - own) / max(available, 1e-9), 0.0), 1.0)
    return Pace(READ_TOKENS / read, samples * (STEPS - 1) / write, others)


def _used() -> tuple[float, float, float]:
    """Processor seconds so far: of all programs, of this one, and those there were."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    there = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return there - idle, time.process_time(), there


def _engine(config: Any, layers: int, dtype: str, tokenizer: Tokenizer, engine: str) -> LanguageModel:
    network = random_network(config, layers, dtype)
    common: dict[str, Any] = {"name": "pace", "context_length": 2048, "fingerprint": "pace"}
    if engine == "naive":
        return NaiveModel(network, tokenizer, **common)
    return choose_engine(network, tokenizer, **common)


def random_network(config: Any, layers: int, dtype: str) -> Any:
    """The model with so many layers and random weights, on the device it would run on."""
    import torch
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(config)
    text = small.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[:layers]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(small, dtype=getattr(torch, dtype)).eval()
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def _seconds(
    models: Sequence[LanguageModel], vocabulary: int, samples: int, context: int
) -> tuple[list[float], list[float]]:
    """For each model: of reading READ_TOKENS, and of writing STEPS - 1 tokens in so many texts below a prompt
    of `context` tokens."""
    ids = tuple(np.random.default_rng(0).integers(1, vocabulary, READ_TOKENS).tolist())
    scoring = [ScoreRequest(ids[:-1], (ids[-1:],))]

    def writing(steps: int) -> list[GenerateRequest]:
        prompt = ids[:context]
        return [GenerateRequest(prompt, n=samples, max_tokens=steps, temperature=1.0, ignore_eos=True)]

    read = _best([partial(model.score, scoring) for model in models])
    short = _best([partial(model.generate, writing(1)) for model in models])
    long = _best([partial(model.generate, writing(STEPS)) for model in models])
    return read, [max(b - a, 1e-6) for a, b in zip(short, long, strict=True)]


def _best(runs: Sequence[Callable[[], object]]) -> list[float]:
    """The shortest of a few rounds of each, in seconds; in turns, so that a busy machine slows all down."""
    for run in runs:
        run()
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for at, run in enumerate(runs):
            began = time.perf_counter()
            run()
            best[at] = min(best[at], time.perf_counter() - began)
    return best
