"""Models that cap their attention scores (Gemma 2, VaultGemma): the engine against plain forwards.

    OMP_NUM_THREADS=2 python benchmarks/softcap.py --json benchmarks/results/softcap.json

A network of Gemma 2's kind with random weights. Each workload is scored by both in turn, twice
over, and the ratio of the shortest times is told: of one run on one machine, so that it does not depend on
the machine's load as times do. `shared` is the part of each prompt that all prompts have in common.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Gemma2Config

from icl.bench.networks import IdTokenizer
from icl.engine.rungs.ladder import choose_engine
from icl.engine.rungs.naive import NaiveModel
from icl.protocols import LanguageModel
from icl.types import ScoreRequest

VOCAB = 2048
SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "sliding_window": 256,
    "max_position_embeddings": 4096,
}
PROMPTS = 8
LABELS = ((5, 6), (7,), (8, 9, 10))
WORKLOADS = [(tokens, shared) for tokens in (100, 400) for shared in (0.0, 0.5, 0.9)]
ROUNDS = 2


def requests(tokens: int, shared: float, labels: int) -> list[ScoreRequest]:
    """Prompts of so many tokens, of which a part is the same in all of them."""
    draw = torch.Generator().manual_seed(tokens)

    def fresh(n: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, VOCAB, (n,), generator=draw).tolist())

    common = fresh(int(tokens * shared))
    return [ScoreRequest((*common, *fresh(tokens - len(common))), LABELS[:labels]) for _ in range(PROMPTS)]


def seconds(model: LanguageModel, asked: list[ScoreRequest]) -> float:
    """Of one call."""
    started = time.perf_counter()
    model.score(asked)
    return time.perf_counter() - started


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    target = parser.parse_args().json
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(Gemma2Config(**SHAPE), attn_implementation="eager").eval()
    common: dict[str, Any] = {"name": "capped", "context_length": 4096, "fingerprint": "capped"}
    engine = choose_engine(network, IdTokenizer(), **common)
    plain = NaiveModel(network, IdTokenizer(), **common)
    rows = []
    for tokens, shared in WORKLOADS:
        for labels in (1, 3):
            asked = requests(tokens, shared, labels)
            times = [(seconds(engine, asked), seconds(plain, asked)) for _ in range(ROUNDS)]
            ours, theirs = (min(column) for column in zip(*times, strict=True))
            rows.append({"tokens": tokens, "shared": shared, "labels": labels, "times faster": theirs / ours})
            print(f"{tokens} tokens, {shared:.0%} shared, {labels} labels: {theirs / ours:.2f}x", flush=True)
    if target is not None:
        target.write_text(json.dumps({"engine": engine.engine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
