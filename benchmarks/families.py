"""Packed weights against the modules of transformers behind the trie engine, family by family, by turns.

Random weights: hidden 512, four layers, 8 heads, a vocabulary of 2,000; mixtures: 16 experts of 256, 4 a row.
Scoring: 32 texts that share 160 tokens and part for 24. Writing: 16 tokens of 16 samples of one prompt of 64.
Processor seconds of one thread, so that what else runs counts little; the median of some turns.

    OMP_NUM_THREADS=1 python -m benchmarks.families [--dtype bfloat16] [--turns 3] [FAMILY ...]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from icl.engine.fake import ByteTokenizer
from icl.engine.rungs.trie_model import TrieModel
from icl.engine.trunks.fused import FusedTrunk
from icl.engine.trunks.hooked import HookedTrunk
from icl.types import GenerateRequest, ScoreRequest, TokenIds

VOCABULARY = 2000
CONTEXT = 512
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HEADS = {"head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 128}
EXPERTS = {"num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 256}
WITHOUT_GATE = SIZES | {"intermediate_size": 2048, "num_key_value_heads": 8}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "qwen3": SIZES | {"head_dim": 64},
    "gemma2": SIZES | HEADS,
    "gemma3_text": SIZES | HEADS,
    "phi3": SIZES,
    "olmo2": SIZES,
    "smollm3": SIZES,
    "gpt_neox": WITHOUT_GATE,
    "gpt2": {"vocab_size": VOCABULARY, "n_embd": 512, "n_layer": 4, "n_head": 8, "n_positions": CONTEXT},
    "opt": WITHOUT_GATE | {"ffn_dim": 2048, "word_embed_proj_dim": 512},
    "qwen2_moe": SIZES | EXPERTS | {"shared_expert_intermediate_size": 512},
    "qwen3_moe": SIZES | EXPERTS | {"head_dim": 64, "norm_topk_prob": True},
}


def texts(count: int, shared: int, own: int) -> list[TokenIds]:
    draw = np.random.default_rng(0)

    def fresh(n: int) -> list[int]:
        return draw.integers(3, VOCABULARY, n).tolist()  # type: ignore[no-any-return]

    beginning = fresh(shared)
    return [(*beginning, *fresh(own)) for _ in range(count)]


SCORING = [ScoreRequest(text, ((5,), (6,))) for text in texts(32, 160, 24)]
WRITING = [
    GenerateRequest(texts(1, 64, 0)[0], n=16, max_tokens=16, temperature=1.0, ignore_eos=True),
]


def score(engine: TrieModel) -> None:
    engine.score(SCORING)


def write(engine: TrieModel) -> None:
    engine.generate(WRITING)


def seconds(work: Callable[[TrieModel], None], engine: TrieModel) -> float:
    engine.resident.clear()
    began = time.process_time()
    work(engine)
    return time.process_time() - began


def ratios(family: str, dtype: torch.dtype, turns: int) -> list[float]:
    """Of scoring and of writing: what the modules take over what packed weights take."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING[family](**FAMILIES[family])
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(dtype).eval()
    common: dict[str, Any] = {"name": family, "context_length": CONTEXT, "fingerprint": "random"}
    engines = [
        TrieModel(network, ByteTokenizer(), trunk=trunk(network), **common)
        for trunk in (HookedTrunk, FusedTrunk)
    ]
    found = []
    for work in (score, write):
        for engine in engines:
            work(engine)
        taken = [[seconds(work, engine) for engine in engines] for _ in range(turns)]
        modules, packed = (statistics.median(column) for column in zip(*taken, strict=True))
        found.append(modules / packed)
    return found


def main() -> None:
    """Prints a row a family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    print("| family | scoring | writing |\n|---|---|---|")
    for family in options.families or FAMILIES:
        scoring, writing = ratios(family, getattr(torch, options.dtype), options.turns)
        print(f"| {family} | {scoring:.2f}x | {writing:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
