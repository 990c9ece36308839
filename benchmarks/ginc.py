"""Bayes's answer to prompts of GINC: all at once against the loop over sequences and concepts, by turns.

    OMP_NUM_THREADS=1 python benchmarks/ginc.py [--prompts 1000] [--rounds 5]

Ten values, ten slots, five concepts, prompts of 16 examples of length 10 (185 symbols), read as documents and
as what they are (45 chains: five concepts, nine first slots). The loop is timed on some and multiplied up.
Prints processor seconds, the ratio of each round's two, and the largest difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from icl.mechanism.shared.ginc import bayes, plain
from icl.mechanism.shared.ginc.mixture import Floats, Ints, Mixture, draw
from icl.mechanism.shared.ginc.prompts import begins
from icl.mechanism.shared.ginc.prompts import draw as draw_prompts
from icl.seeding import generator

EXAMPLES, LENGTH = 16, 10


def timed(answer: Callable[[Ints], Floats], shown: Ints) -> tuple[float, Floats]:
    """Processor seconds, and the answer."""
    began = time.process_time()
    found = answer(shown)
    return time.process_time() - began, found


def compared(name: str, mixture: Mixture, shown: Ints, looped: int, rounds: int, **arguments: Any) -> None:
    """A line. arguments: of both ways."""

    def fast(sequences: Ints) -> Floats:
        return bayes.read(mixture, sequences, **arguments).expected()

    def slow(sequences: Ints) -> Floats:
        return plain.expected(mixture, sequences, **arguments)

    ours, loops, apart = [], [], 0.0
    for _ in range(rounds):
        seconds, found = timed(fast, shown)
        ours.append(seconds)
        seconds, known = timed(slow, shown[:looped])
        loops.append(seconds * len(shown) / looped)
        apart = max(apart, float(np.abs(found[:looped] - known).max()))
    ratios = sorted(b / a for a, b in zip(ours, loops, strict=True))
    print(
        f"{name}: at once {np.median(ours):.3f} s, loop {np.median(loops):.2f} s,"
        f" ratio {np.median(ratios):.0f} ({ratios[0]:.0f} to {ratios[-1]:.0f}), apart {apart:.1e}"
    )


def main() -> None:
    """Three vocabularies, two readings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--looped", type=int, default=20, help="prompts that the loop does")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    streams = partial(generator, 0)
    for vocabulary in (50, 100, 150):
        mixture = draw(streams, values=10, slots=10, vocabulary=vocabulary, concepts=5)
        prompts = draw_prompts(
            mixture, streams, range(5), "seen", number=chosen.prompts, length=LENGTH, examples=EXAMPLES
        )
        shown = prompts.at(EXAMPLES)
        sizes = (mixture, shown, chosen.looped, chosen.rounds)
        compared(f"{vocabulary} symbols, documents", *sizes, leak=1e-3)
        slots = bayes.in_one_slot(mixture)
        known = begins(EXAMPLES, LENGTH)
        compared(f"{vocabulary} symbols, prompts", *sizes, begins=known, beginnings=slots)


if __name__ == "__main__":
    main()
