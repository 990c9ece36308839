"""Rates of a layer's products as the engine meets them: packed weights of many layers in turn, fresh outputs.

    python benchmarks/products.py

A product timed alone, over and over into the same memory, says how fast the processor is; in a forward the
weights come from memory and each output is a new tensor. The difference, and the number of rows at which it
is smallest, decide the chunk size. fp32 in oneDNN's layout and, where there are native kernels, in panels;
half precision by its own kernels and by those of fp32, as the engine uses where they are faster. Shapes:
SmolLM2-135M.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from icl.engine.native import library
from icl.engine.trunks import packed
from icl.engine.trunks.packed import PackedLinear

HIDDEN, MIDDLE, KEYS, LAYERS, ROUNDS = 576, 1536, 192, 30, 3
SHAPES = {
    "qkv": (HIDDEN + 2 * KEYS, HIDDEN),
    "out": (HIDDEN, HIDDEN),
    "gate": (MIDDLE, HIDDEN),
    "up": (MIDDLE, HIDDEN),
    "down": (HIDDEN, MIDDLE),
}


@dataclass(frozen=True)
class Way:
    """How products are made."""

    dtype: torch.dtype
    wide: bool = False
    panels: bool = False

    @property
    def plain(self) -> dict[str, str]:
        """For a row."""
        inside = "float32" if self.wide else str(self.dtype)[6:]
        return {"dtype": str(self.dtype)[6:], "in": inside, "by": "panels" if self.panels else "oneDNN"}


def layer(way: Way) -> dict[str, PackedLinear]:
    """Random weights of one layer."""
    return {
        name: PackedLinear(torch.randn(*shape, dtype=way.dtype), wide=way.wide, panels=way.panels)
        for name, shape in SHAPES.items()
    }


@torch.inference_mode()
def rates(rows: int, way: Way) -> dict[str, float]:
    """GFLOP/s of each product at `rows` rows, and of all together, with what is fused into them."""
    layers = [layer(way) for _ in range(LAYERS)]
    x, mixed = (torch.randn(rows, HIDDEN, dtype=way.dtype) for _ in range(2))
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
    half = torch.bfloat16
    ways = [Way(torch.float32), *([Way(torch.float32, panels=True)] if library.available() else [])]
    ways += [*([Way(half)] if packed.native(half) else []), Way(half, wide=True)]
    for way in ways:
        for rows in given.rows:
            print(json.dumps({**way.plain, "rows": rows, **rates(rows, way)}), flush=True)


if __name__ == "__main__":
    main()
