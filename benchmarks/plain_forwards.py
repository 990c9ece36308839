"""icl's scores against plain forwards where nothing is shared: long texts, and many short ones.

A Llama of four layers with random weights; ratios of times in one run, best of three.

    OMP_NUM_THREADS=1 python benchmarks/plain_forwards.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from icl.engine.fake import ByteTokenizer
from icl.engine.rungs.ladder import choose_engine
from icl.types import ScoreRequest, TokenIds

CASES = {"1 x 4,000": (1, 4000), "3 x 1,500": (3, 1500), "500 x 3": (500, 3)}


def texts(count: int, length: int) -> list[TokenIds]:
    draw = np.random.default_rng(0)
    return [tuple(draw.integers(3, 999, length).tolist()) for _ in range(count)]


@torch.inference_mode()
def plain(network: Any, prompts: Sequence[TokenIds], batch: int) -> None:
    for low in range(0, len(prompts), batch):
        ids = torch.tensor([list(p) for p in prompts[low : low + batch]])
        torch.log_softmax(network(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1], dim=-1)


def best(run: Callable[[], object]) -> float:
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    config = LlamaConfig(
        vocab_size=1000, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=8192,
    )  # fmt: skip
    network = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").float().eval()
    common: dict[str, Any] = {"name": "llama", "context_length": 8192, "fingerprint": "random"}
    ways = {
        name: choose_engine(network, ByteTokenizer(), **common, **options)
        for name, options in {"icl": {}, "batch-invariant": {"batch_invariant": True}}.items()
    }
    for name, (count, length) in CASES.items():
        prompts = texts(count, length)
        asks = [ScoreRequest(p, ((5,),)) for p in prompts]
        apart = best(lambda p=prompts: plain(network, p, 1))  # type: ignore[misc]
        said = [
            f"plain {apart:.2f} s",
            f"in batches of 32 {best(lambda p=prompts: plain(network, p, 32)):.2f} s",
        ]  # type: ignore[misc]
        for way, model in ways.items():
            seconds = best(lambda m=model, a=asks: m.score(a))  # type: ignore[misc]
            said.append(f"{way} {seconds:.2f} s ({apart / seconds:.2f}x)")
        print(name, *said, sep=", ", flush=True)


if __name__ == "__main__":
    main()
