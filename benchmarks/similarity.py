"""Times the similarity filter of generated instructions against comparing all pairs, by turns.

    python benchmarks/similarity.py [--kept 10000] [--candidates 1000] [--rounds 3]

Three ways, the same decisions: `index` (icl.instructions.similarity), `pairs` (every pair by rapidfuzz's
bit-parallel LCS, words as characters), `naive` (every pair by the plain dynamic programme in Python, as
rouge_score does it; timed on some candidates and multiplied up). Texts are made of a skewed vocabulary, a
tenth of the candidates are kept ones with some words changed. Prints seconds of all candidates and ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from rapidfuzz.distance import LCSseq

from icl.instructions.similarity import THRESHOLD, SimilarityIndex, rouge_l, rouge_words
from icl.seeding import generator

WORDS = 5000


def texts(count: int, name: str) -> list[str]:
    """Instructions of 5 to 25 words, frequencies by Zipf."""
    rng = generator(0, "benchmark", name)
    shares = 1 / np.arange(1, WORDS + 1)
    shares /= shares.sum()
    return [
        " ".join(f"w{i}" for i in rng.choice(WORDS, int(rng.integers(5, 26)), p=shares)) for _ in range(count)
    ]


def changed(text: str, name: str) -> str:
    """Some words replaced: near the threshold from both sides."""
    rng = generator(0, "benchmark change", name)
    words = text.split()
    for at in rng.choice(len(words), int(len(words) * rng.uniform(0, 0.5)), replace=False):
        words[int(at)] = f"w{int(rng.integers(WORDS))}"
    return " ".join(words)


def index(kept: list[str], candidates: list[str]) -> list[bool]:
    """The filter of icl, the kept ones added too."""
    found = SimilarityIndex(kept)
    return [found.too_like(text) is not None for text in candidates]


def pairs(kept: list[str], candidates: list[str]) -> list[bool]:
    """Every pair, compared by rapidfuzz."""
    numbers: dict[str, str] = {}

    def coded(text: str) -> str:
        return "".join(numbers.setdefault(word, chr(0xE000 + len(numbers))) for word in rouge_words(text))

    known = [coded(text) for text in kept]
    decided = []
    for text in candidates:
        own = coded(text)
        decided.append(
            any(2 * LCSseq.similarity(own, other) > THRESHOLD * (len(own) + len(other)) for other in known)
        )
    return decided


def naive(kept: list[str], candidates: list[str]) -> list[bool]:
    """Every pair, compared by the dynamic programme; all of them, as the published code does."""
    known = [rouge_words(text) for text in kept]
    return [max(rouge_l(rouge_words(text), other) for other in known) > THRESHOLD for text in candidates]


def timed(
    way: Callable[[list[str], list[str]], list[bool]], kept: list[str], some: list[str]
) -> tuple[float, list[bool]]:
    began = time.perf_counter()
    decided = way(kept, some)
    return time.perf_counter() - began, decided


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kept", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=1_000)
    parser.add_argument("--naive", type=int, default=4, help="candidates that the naive way is timed on")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    kept = texts(given.kept, "kept")
    candidates = texts(given.candidates, "candidates")
    for at in range(0, len(candidates), 10):
        candidates[at] = changed(kept[at], str(at))
    seconds: dict[str, list[float]] = {"index": [], "pairs": [], "naive": []}
    for _ in range(given.rounds):  # by turns, so that a busy machine is busy for all
        took, by_index = timed(index, kept, candidates)
        seconds["index"].append(took)
        took, by_pairs = timed(pairs, kept, candidates)
        seconds["pairs"].append(took)
        took, by_naive = timed(naive, kept, candidates[: given.naive])
        seconds["naive"].append(took * len(candidates) / given.naive)
        assert by_index == by_pairs
        assert by_naive == by_index[: given.naive]
    base = float(np.median(seconds["index"]))
    print(f"{len(candidates)} candidates against {len(kept)} kept, {sum(by_index)} too like one of them")
    for way, took in seconds.items():
        median = float(np.median(took))
        print(f"{way:>6}: {median:10.2f} s ({median / base:8.1f}x)   {', '.join(f'{s:.2f}' for s in took)}")


if __name__ == "__main__":
    main()
