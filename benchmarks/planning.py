"""Planning at scale: the trie of a million prompts of 500 tokens, 95 % of them shared.

    python benchmarks/planning.py --json benchmarks/results/planning.json

Prompts come in families: those of a family begin with the same `shared` tokens, as with kNN or fixed
demonstrations; what follows is each prompt's own. Timed is `build_trie` alone: sorting and the lengths of
common prefixes. The arrays are generated first and counted apart. Asked for: 5 million tokens a second in
bounded memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icl.bench.run import processor
from icl.engine.trie.preorder import build_trie
from icl.seeding import generator


def families(prompts: int, tokens: int, share: float, size: int) -> list[NDArray[np.int32]]:
    """`prompts` rows of `tokens` ids in families of `size`, shuffled; views of one matrix."""
    draw = generator(0, "benchmarks.planning", "prompts")
    shared = round(tokens * share)
    matrix = np.empty((prompts, tokens), dtype=np.int32)
    for start in range(0, prompts, size):
        block = matrix[start : start + size]
        block[:, :shared] = draw.integers(0, 50_000, size=shared)
        block[:, shared:] = draw.integers(0, 50_000, size=(len(block), tokens - shared))
    return [matrix[i] for i in draw.permutation(prompts)]


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(prompts: int, tokens: int, share: float, size: int) -> dict[str, Any]:
    """The figures, as JSON."""
    sequences = families(prompts, tokens, share, size)
    before = peak_bytes()
    started = time.perf_counter()
    trie = build_trie(sequences)
    seconds = time.perf_counter() - started
    return {
        "prompts": prompts,
        "tokens_flat": trie.flat,
        "tokens_unique": trie.rows,
        "shared": round(1 - trie.rows / trie.flat, 4),
        "seconds": round(seconds, 3),
        "tokens_per_second": round(trie.flat / seconds),
        "input_bytes": 4 * trie.flat,
        "peak_bytes_before": before,
        "peak_bytes": peak_bytes(),
        "processor": processor(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--share", type=float, default=0.95)
    parser.add_argument("--family", type=int, default=1000, help="prompts that begin alike")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    figures = measure(given.prompts, given.tokens, given.share, given.family)
    text = json.dumps(figures, indent=1)
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
