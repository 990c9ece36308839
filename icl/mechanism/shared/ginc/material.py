"""What a study of GINC draws for one vocabulary: the world, all prompts, held-out documents, Bayes's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from icl.mechanism.shared.ginc.bayes import in_one_slot, read
from icl.mechanism.shared.ginc.documents import documents
from icl.mechanism.shared.ginc.mixture import Floats, Ints, Mixture, Streams, draw
from icl.mechanism.shared.ginc.prompts import KINDS, Prompts, begins
from icl.mechanism.shared.ginc.prompts import draw as draw_prompts

HELD_OUT = 32
"""Documents, as long as the context, on which losses are compared."""
TINY = 1e-6
"""Leak of Bayes's answer that knows how prompts are made: only for prompts that no concept can have made."""
Hits = dict[str, str]
"""By kind, length and number of examples (`key`) a digit a prompt: 1 where the answer is the label."""
Answer = Callable[[Ints, int, int], Ints]
"""Of prompts [n, tokens], their length and number of examples: the symbols thought to be next [n]."""


def key(kind: str, length: int, examples: int) -> str:
    """Of `Hits`."""
    return f"{kind} {length} {examples}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a world and its prompts."""

    values: int
    slots: int
    concepts: int
    lengths: Sequence[int]
    examples: Sequence[int]
    prompts: int
    context: int

    @property
    def trained(self) -> int:
        """Concepts of corpora; the others are held out."""
        return self.concepts // 2

    @property
    def asked(self) -> int:
        """Prompts of all kinds, lengths and numbers of examples."""
        return len(KINDS) * len(self.lengths) * len(self.examples) * self.prompts


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A world of one vocabulary."""

    sizes: Sizes
    world: Mixture
    streams: Streams

    @classmethod
    def of(cls, sizes: Sizes, vocabulary: int, streams: Streams) -> Material:
        """Drawn."""
        world = draw(
            streams, values=sizes.values, slots=sizes.slots, vocabulary=vocabulary, concepts=sizes.concepts
        )
        return cls(sizes, world, streams)

    @property
    def known(self) -> Mixture:
        """The concepts of corpora."""
        return self.world.of(range(self.sizes.trained))

    def prompts(self) -> Iterator[tuple[str, int, Prompts]]:
        """Kind, length and prompts with as many examples as are ever shown."""
        sizes = self.sizes
        for kind in KINDS:
            first = sizes.trained if kind == "unseen" else 0
            concepts = range(first, sizes.concepts if kind == "unseen" else sizes.trained)
            for length in sizes.lengths:
                yield kind, length, draw_prompts(
                    self.world, self.streams, concepts, kind,
                    number=sizes.prompts, length=length, examples=max(sizes.examples),
                )  # fmt: skip

    def hits(self, answer: Answer, progress: Callable[[int], None] | None = None) -> Hits:
        """Of all prompts."""
        found: Hits = {}
        for kind, length, prompts in self.prompts():
            for examples in self.sizes.examples:
                given = answer(prompts.at(examples), length, examples)
                found[key(kind, length, examples)] = "".join(map(str, (given == prompts.labels).astype(int)))
                if progress is not None:
                    progress(len(found) * self.sizes.prompts)
        return found

    def concepts(self, length: int) -> list[int]:
        """Of which concept each seen prompt is; of shuffled ones too."""
        return next(p.concepts.tolist() for kind, n, p in self.prompts() if (kind, n) == ("seen", length))

    def as_document(self, shown: Ints, leak: float) -> Ints:
        """Bayes's answer to prompts that are read as documents."""
        answer: Ints = read(self.known, shown, leak=leak).expected().argmax(1)
        return answer

    def as_prompt(self, shown: Ints, length: int, examples: int) -> Ints:
        """Bayes's answer of one who knows how prompts are made."""
        known = self.known
        state = read(known, shown, begins=begins(examples, length), beginnings=in_one_slot(known), leak=TINY)
        answer: Ints = state.expected().argmax(1)
        return answer

    def held_out(self) -> npt.NDArray[np.int16]:
        """Beginnings of documents that no corpus has [HELD_OUT, context + 1]."""
        return documents(self.known, self._held_out, HELD_OUT, self.sizes.context + 1)[0]

    def _held_out(self, purpose: str, item: str) -> np.random.Generator:
        return self.streams(f"held-out {purpose}", item)

    def least_loss(self) -> float:
        """Of Bayes's rule on the held-out documents, nats a token after the first."""
        shown = self.held_out().astype(np.int64)
        surprise = _surprise(self.known, shown) - _surprise(self.known, shown[:, :1])
        return float(surprise.mean() / self.sizes.context)


def _surprise(mixture: Mixture, shown: Ints) -> Floats:
    """Minus the log-probability of sequences [n], but for the uniform prior's constant."""
    found: Floats = -np.logaddexp.reduce(read(mixture, shown).evidence[:, 0], axis=0)
    return found
