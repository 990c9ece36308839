"""The compiled attention against the Python path: a layer of a chunk, and of a decode step, by turns.

Processor time of one thread, median of the rounds, in one process; chunks and steps of the workloads of
`icl bench`, and of texts that are hard for one path or the other. Keys, values and queries are random.

    OMP_NUM_THREADS=1 python benchmarks/native_attention.py DIR
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from icl.engine.attention.blocks import torch_attention
from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.attention.dense import PathStack
from icl.engine.attention.native import NativeChunkAttention
from icl.engine.decoding.memory import SharedNode, StepAttention, Tails
from icl.engine.decoding.native import NativeStepAttention
from icl.engine.native import library
from icl.engine.trie.plan import Chunk, Layout
from icl.engine.trie.preorder import as_arrays, build_trie
from icl.engine.trie.radix import node_paths, radix_nodes
from icl.types import TokenIds

SHAPES = {"SmolLM2-135M": (9, 3, 64), "Qwen2.5-0.5B": (14, 2, 64), "Qwen2.5-1.5B": (12, 2, 128)}
"""Query heads, key heads, size of a head."""
CPU = torch.device("cpu")
CHUNK_ROWS = 2048
LAYERS = 4
WRITTEN = 64
"""Tokens that every sample has written when a step is timed."""


def made() -> dict[str, list[TokenIds]]:
    """Texts that no workload has: one long one, 10,000 leaves of two tokens, a chain of 100 prefixes."""
    draw = np.random.default_rng(0)
    stem = tuple(draw.integers(0, 99, 800).tolist())
    chain = [
        (*stem[: 8 * i + 8], 1000 + j, *draw.integers(0, 99, 3).tolist())
        for i in range(100)
        for j in range(5)
    ]
    return {
        "one text of 4,000": [tuple(draw.integers(0, 999, 4000).tolist())],
        "10,000 leaves of two": [(*range(8), i, 7) for i in range(10_000)],
        "chain of 100 prefixes": chain,
    }


def scored(workload: dict[str, Any]) -> list[TokenIds]:
    """The texts of which a scoring workload needs forwards."""
    return [(*item["ctx"], *c[:-1]) for item in workload["items"] for c in item["conts"]]


def chunks(texts: list[TokenIds]) -> tuple[Layout, list[Chunk]]:
    """At most two chunks of a workload, from its middle."""
    layout = Layout(build_trie(as_arrays(texts)))
    found = list(layout.chunks(CHUNK_ROWS))
    return layout, found if len(found) <= 2 else [found[len(found) // 3], found[2 * len(found) // 3]]


def alternating(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each way, turn by turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, run in ways.items():
            began = time.thread_time()
            run()
            if turn:  # the first warms up
                taken[name].append(time.thread_time() - began)
    return {name: float(np.median(times)) for name, times in taken.items()}


def chunk_ways(
    layout: Layout, chunk: Chunk, shape: tuple[int, int, int], dtype: torch.dtype, call: LayerCall
) -> dict[str, Callable[[], object]]:
    """A chunk through LAYERS layers: its plan, attention, and the copy that a product after it needs."""
    heads, kv_heads, size = shape
    rows = chunk.rows
    qk = torch.randn(heads + kv_heads, rows, size).to(dtype)
    v = torch.randn(rows, heads + 2 * kv_heads, size).to(dtype)[:, heads + kv_heads :].transpose(0, 1)
    stack = PathStack(layout.trie.depth + 1)
    for held in stack.view(0, stack.capacity, v):
        held.normal_()

    def run(make: Callable[[], Attend]) -> None:
        attend = make()
        for _ in range(LAYERS):
            attend(qk[:heads], qk[heads:], v, call).transpose(0, 1).reshape(rows, -1)
            stack.discard()

    plain = torch_attention(chunk, stack, CPU)
    return {
        "python": lambda: run(lambda: torch_attention(chunk, stack, CPU)),
        "native": lambda: run(lambda: NativeChunkAttention(chunk, stack, plain)),
    }


def step_ways(
    prompts: list[TokenIds], samples: int, shape: tuple[int, int, int], dtype: torch.dtype
) -> dict[str, Callable[[], object]]:
    """One step of all samples, LAYERS layers, after each has written WRITTEN tokens."""
    heads, kv_heads, size = shape
    trie = build_trie(as_arrays(prompts))
    nodes = radix_nodes(trie, [samples] * len(prompts))
    paths = node_paths(nodes, len(prompts))
    slots = samples * len(prompts)
    tails = Tails(CPU)
    tails.add(slots)
    alone = [sum(nodes[n].length for n in path if not nodes[n].shared) for path in paths]
    tails.lengths = [alone[b // samples] + WRITTEN for b in range(slots)]
    tails.reserve(max(tails.lengths) + 1)
    like = torch.empty(kv_heads, 1, size, dtype=dtype)
    for held in tails.layer(0, like):
        held.normal_()
    spans = []
    for node in nodes:
        if node.shared:
            shared = SharedNode(node)
            shared.put(0, 0, *torch.randn(2, kv_heads, node.length, size).to(dtype))
            spans.append((shared, node.first * samples, node.last * samples))
    positions = torch.tensor([int(trie.lengths[b // samples]) + WRITTEN for b in range(slots)])
    q = torch.randn(heads, slots, size).to(dtype)
    k, v = torch.randn(2, kv_heads, slots, size).to(dtype)

    def run(make: Callable[..., Attend]) -> None:
        attend = make(tails, spans, positions)
        for _ in range(LAYERS):
            attend(q, k, v, LayerCall(0, size**-0.5)).transpose(0, 1).reshape(slots, -1)

    return {"python": lambda: run(StepAttention), "native": lambda: run(NativeStepAttention)}


def cases(folder: Path, shape: tuple[int, int, int], dtype: torch.dtype) -> Iterator[tuple[str, list[Any]]]:
    """(name, ways of each chunk or step)."""
    call = LayerCall(0, shape[2] ** -0.5)
    texts = made()
    steps = {}
    for path in sorted(folder.glob("*.json")):
        workload = json.loads(path.read_text())
        if workload["kind"] == "score":
            texts[path.stem] = scored(workload)
        else:
            steps[path.stem] = ([tuple(p) for p in workload["prompts"]], int(workload["n"]))
    for name, some in texts.items():
        layout, found = chunks(some)
        yield name, [chunk_ways(layout, chunk, shape, dtype, call) for chunk in found]
        if name == "knn_demonstrations":
            for more, said in (("window 128", {"window": 128}), ("softcap", {"softcap": 30.0})):
                other = LayerCall(0, call.scaling, **said)  # type: ignore[arg-type]
                yield f"{name}, {more}", [chunk_ways(layout, chunk, shape, dtype, other) for chunk in found]
    for name, (prompts, samples) in steps.items():
        layout, found = chunks(prompts)
        yield f"{name}, prompts", [chunk_ways(layout, chunk, shape, dtype, call) for chunk in found]
        yield f"{name}, a step", [step_ways(prompts, samples, shape, dtype)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--model", choices=SHAPES, action="append")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], action="append")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"native kernels: {library.said()}")
    rows = []
    with torch.inference_mode():
        for model in asked.model or SHAPES:
            for dtype in asked.dtype or ["float32", "bfloat16"]:
                for name, parts in cases(asked.folder, SHAPES[model], getattr(torch, dtype)):
                    taken = [alternating(ways, asked.rounds) for ways in parts]
                    python, native = (sum(t[way] for t in taken) / LAYERS for way in ("python", "native"))
                    rows.append(
                        {"model": model, "dtype": dtype, "case": name, "python": python, "native": native}
                    )
                    print(
                        f"{model:13} {dtype:8} {name:34} {1e3 * python:9.3f} {1e3 * native:9.3f} ms a layer"
                        f" {python / native:6.2f}x",
                        flush=True,
                    )
    if asked.json:
        asked.json.write_text(json.dumps({"kernels": library.said(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
