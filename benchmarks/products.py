"""Rates of a layer's products as the engine meets them: packed weights of many layers in turn, fresh outputs.

    python benchmarks/products.py

A product timed alone, over and over into the same memory, says how fast the processor is; in a forward the
weights come from memory and each output is a new tensor. The difference, and the number of rows at which it
is smallest, decide the chunk size. Half precision by its own kernels and by those of fp32, as the engine uses
where they are faster. Shapes: SmolLM2-135M.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor

from icl.engine.trunks.packed import PackedLinear

HIDDEN, MIDDLE, KEYS, LAYERS, ROUNDS = 576, 1536, 192, 30, 3
SHAPES = {
    "qkv": (HIDDEN + 2 * KEYS, HIDDEN),
    "out": (HIDDEN, HIDDEN),
    "gate": (MIDDLE, HIDDEN),
    "up": (MIDDLE, HIDDEN),
    "down": (HIDDEN, MIDDLE),
}


def layer(dtype: torch.dtype, wide: bool) -> dict[str, PackedLinear]:
    """Random weights of one layer."""
    return {name: PackedLinear(torch.randn(*shape, dtype=dtype), wide=wide) for name, shape in SHAPES.items()}


@torch.inference_mode()
def rates(rows: int, dtype: torch.dtype, wide: bool) -> dict[str, float]:
    """GFLOP/s of each product at `rows` rows, and of all together, with what is fused into them."""
    layers = [layer(dtype, wide) for _ in range(LAYERS)]
    x, mixed = torch.randn(rows, HIDDEN, dtype=dtype), torch.randn(rows, HIDDEN, dtype=dtype)
    seconds = dict.fromkeys(SHAPES, 0.0)

    def timed(name: str, run: Callable[[], Tensor]) -> Tensor:
        started = time.perf_counter()
        result = run()
        seconds[name] += time.perf_counter() - started
        return result

    for turn in range(ROUNDS + 1):
        if turn == 1:  # the first only warms up
            seconds = dict.fromkeys(SHAPES, 0.0)
        for one in layers:
            timed("qkv", lambda one=one: one["qkv"](x))
            timed("out", lambda one=one: one["out"].plus(mixed, x))
            gate = timed("gate", lambda one=one: one["gate"].activated(x, "silu"))
            up = timed("up", lambda one=one, gate=gate: one["up"].times(x, gate))
            timed("down", lambda one=one, up=up: one["down"].plus(up, x))
    work = {name: 2e-9 * rows * a * b * LAYERS * ROUNDS for name, (a, b) in SHAPES.items()}
    found = {name: round(work[name] / seconds[name]) for name in SHAPES}
    return {**found, "all": round(sum(work.values()) / sum(seconds.values()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 512, 1024, 2048, 4096])
    given = parser.parse_args()
    for dtype, wide in ((torch.float32, False), (torch.bfloat16, False), (torch.bfloat16, True)):
        for rows in given.rows:
            kernel = {"dtype": str(dtype)[6:], "in": "float32" if wide else str(dtype)[6:]}
            row = {**kernel, "rows": rows, **rates(rows, dtype, wide)}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
