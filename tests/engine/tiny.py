"""Tiny random models of many families: made in milliseconds, wrong in every way that a large one can be.

All weights are drawn anew, larger than transformers' own initialisation, so that attention is not
nearly uniform and an error in a mask, a position, a bias or a sink moves the logits by far more
than the tolerance of 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from icl.engine.rungs.naive import NaiveModel
from icl.engine.rungs.trie_model import TrieModel
from icl.types import Scores, TokenIds

VOCAB = 113
CONTEXT = 96
WINDOW = 8
EOS = 1

LLAMA: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": EOS,
}
ALTERNATING = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
GPT_OSS = {
    **LLAMA,
    **ALTERNATING,
    "num_hidden_layers": 3,
    "head_dim": 8,
    "sliding_window": WINDOW,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}

EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", LLAMA),
    "llama-tied": ("llama", {**LLAMA, "tie_word_embeddings": True}),
    "gpt2": ("gpt2", {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}),
    "qwen2": ("qwen2", LLAMA),
    "qwen3": ("qwen3", {**LLAMA, "head_dim": 16}),
    "opt": (
        "opt",
        {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "ffn_dim": 48,
            "word_embed_proj_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
        },
    ),
    "mistral": ("mistral", {**LLAMA, "sliding_window": WINDOW}),
    "gemma": ("gemma", {**LLAMA, "head_dim": 8}),
    "gemma2": (
        "gemma2",
        {
            **LLAMA,
            **ALTERNATING,
            "num_hidden_layers": 3,
            "head_dim": 8,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": 8,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": (
        "gemma3_text",
        {
            **LLAMA,
            **ALTERNATING,
            "num_hidden_layers": 3,
            "head_dim": 8,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": 8,
        },
    ),
    "gpt-neox": (
        "gpt_neox",
        {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
        },
    ),
    "phi3": ("phi3", LLAMA),
    "olmo2": ("olmo2", LLAMA),
    "qwen2-moe": ("qwen2_moe", {**LLAMA, **EXPERTS, "shared_expert_intermediate_size": 32}),
    "qwen3-moe": ("qwen3_moe", {**LLAMA, **EXPERTS, "head_dim": 16, "norm_topk_prob": True}),
    "smollm3": ("smollm3", {**LLAMA, "num_hidden_layers": 4, "no_rope_layer_interval": 4}),
    "falcon": (
        "falcon",
        {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
        },
    ),
    "falcon-alibi": (
        "falcon",
        {
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "alibi": True,
            "new_decoder_architecture": False,
        },
    ),
    "bloom": ("bloom", {"vocab_size": VOCAB, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "gptj": (
        "gptj",
        {
            "vocab_size": VOCAB,
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "rotary_dim": 4,
            "n_positions": CONTEXT,
        },
    ),
    "gpt-oss": ("gpt_oss", GPT_OSS),
}
"""Name -> (transformers' model type, configuration)."""

FALLBACK = frozenset({"falcon", "falcon-alibi", "bloom", "gptj"})
"""Families without the attention interface: the ladder takes them to the DFS with a cache."""


class IntegerTokenizer:
    """Text is numbers with a space between; nothing ever merges."""

    fingerprint = "integers"

    def __init__(self, eos_ids: frozenset[int] = frozenset({EOS})) -> None:
        self.eos_ids = eos_ids

    def encode(self, text: str) -> TokenIds:
        return tuple(int(word) for word in text.split())

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(f" {i}" for i in ids if i not in self.eos_ids)

    def chat(self, messages: Sequence[Any]) -> str:
        return " ".join(m["content"] for m in messages)


def tiny_network(family: str, seed: int = 0, **changes: Any) -> Any:
    """A transformers causal LM in fp32 and eager attention; the same weights for the same arguments."""
    model_type, settings = FAMILIES[family]
    config = CONFIG_MAPPING[model_type](**{**settings, **changes})
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    redraw(network, seed)
    return network


def redraw(network: Any, seed: int = 0) -> None:
    """All weights anew, larger than transformers draws them; the ends that the tests know."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=draw)
            if parameter.ndim >= 2:
                parameter.copy_(noise * 1.3 / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(noise * 0.2)
    network.generation_config.pad_token_id = 0
    network.generation_config.eos_token_id = EOS


@dataclass(frozen=True)
class Pair:
    """The engine and its oracle over one network."""

    network: Any
    trie: Callable[..., TrieModel]
    naive: NaiveModel


def tiny_pair(family: str, seed: int = 0, **changes: Any) -> Pair:
    """trie(chunk_rows=..., max_slots=...) makes an engine; naive is the oracle."""
    network = tiny_network(family, seed, **changes)
    common = {"name": family, "context_length": CONTEXT, "fingerprint": family}
    tokenizer = IntegerTokenizer()
    return Pair(
        network,
        lambda **options: TrieModel(network, tokenizer, **common, **options),
        NaiveModel(network, tokenizer, **common),
    )


def ragged(
    seed: int, count: int = 7, length: int = 24, vocabulary: int = VOCAB, branch: float = 0.12
) -> list[TokenIds]:
    """Sequences that share prefixes: each follows an earlier one and leaves it at a random depth;
    one is a duplicate and one the prefix of another."""
    draw = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=draw))

    def fresh(n: int) -> list[int]:
        return torch.randint(3, vocabulary, (n,), generator=draw).tolist()

    made = [tuple(fresh(length))]
    while len(made) < count - 2:
        parent = made[number(0, len(made))]
        keep = number(1, max(2, len(parent)))
        made.append((*parent[:keep], *fresh(number(1, length - keep + 2))))
    made.append(made[0])
    made.append(made[0][: length // 2])
    return made


def sequences(longest: int = 9, most: int = 12) -> st.SearchStrategy[list[TokenIds]]:
    """Ragged token sequences over three ids: sharing, duplicates and prefixes of one another occur."""
    one = st.lists(st.integers(0, 2), min_size=1, max_size=longest).map(tuple)
    return st.lists(one, min_size=1, max_size=most)


def largest_difference(found: Sequence[Scores], expected: Sequence[Scores]) -> float:
    """Of the log-probability of any token; the shapes must be equal."""
    gaps = [
        abs(x - y)
        for a, b in zip(found, expected, strict=True)
        for u, v in zip(a.token_logprobs, b.token_logprobs, strict=True)
        for x, y in zip(u, v, strict=True)
    ]
    return max(gaps)
