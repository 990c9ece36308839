"""What is measured on: a model by name, or a shape with random weights where only speed is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from icl.engine.loading.load import load_model
from icl.engine.rungs.naive import NaiveModel
from icl.errors import ConfigError, ModelError
from icl.types import TokenIds

SHAPES: dict[str, dict[str, Any]] = {
    "random-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
    },
    "random-tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
    },
    "random-150k": {
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 150_000,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
}
"""Llama with the shape of Llama-3.1-8B; one that runs anywhere, to try the command; a small one whose
vocabulary is large."""


class IdTokenizer:
    """For random weights: text is numbers with a space between, and nothing ends a sequence."""

    fingerprint = "ids"
    eos_ids: frozenset[int] = frozenset()

    def encode(self, text: str) -> TokenIds:
        """Ids from numbers."""
        return tuple(int(word) for word in text.split())

    def decode(self, ids: Sequence[int]) -> str:
        """Numbers from ids."""
        return "".join(f" {i}" for i in ids)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """There is no chat."""
        raise ModelError("a model with random weights has no chat template")


def load_plain(model: str, dtype: str) -> NaiveModel:
    """The model as transformers loads it, behind the naive engine; on the GPU where there is one."""
    if model == "fake":
        raise ConfigError("--model: 'fake' has no network to measure; use random-tiny to try the command")
    if model not in SHAPES:
        loaded = load_model(model, engine="naive", dtype=dtype)
        assert isinstance(loaded, NaiveModel)
        return loaded
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**SHAPES[model])
    where = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng(), torch.device(where):
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
    return NaiveModel(
        network,
        IdTokenizer(),
        name=model,
        context_length=config.max_position_embeddings,
        fingerprint=f"{model}-{dtype}",
    )
