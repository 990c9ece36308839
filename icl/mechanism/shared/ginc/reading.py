"""What the answers of networks and of Bayes's rule come to: accuracy, its rise with examples, claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.ginc.corpora import Corpus
from icl.mechanism.shared.ginc.material import Sizes, key
from icl.mechanism.shared.ginc.mixture import Floats
from icl.mechanism.shared.ginc.prompts import KINDS
from icl.mechanism.shared.intervals import Estimate, mean

Asked = tuple[Found, int, Corpus | None]
"""What a step found, its vocabulary, and its corpus: None for Bayes's rule."""
Who = Corpus | str
"""A corpus for the networks trained on it; "documents" or "prompts" for Bayes's rule."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Answers of one vocabulary. networks: of a corpus, one a training."""

    sizes: Sizes
    resamples: int
    bayes: Found
    networks: dict[Corpus, list[Found]]

    def hits(self, who: Who, kind: str, examples: int, lengths: Sequence[int] = ()) -> Floats:
        """Of every prompt [lengths * prompts], a mean over trainings."""
        tables = [self.bayes[who]] if isinstance(who, str) else [f["hits"] for f in self.networks[who]]
        chosen = lengths or self.sizes.lengths
        rows = ["".join(table[key(kind, n, examples)] for n in chosen) for table in tables]
        shares: Floats = np.array([[float(digit) for digit in row] for row in rows]).mean(0)
        return shares

    def accuracy(self, who: Who, kind: str, examples: int, lengths: Sequence[int] = ()) -> Estimate:
        """With its interval over prompts."""
        return mean(self.hits(who, kind, examples, lengths), self.resamples)

    def rise(self, who: Who, kind: str, lengths: Sequence[int] = ()) -> Floats:
        """Of every prompt: right with most examples, less right with fewest."""
        few, most = self.sizes.examples[0], self.sizes.examples[-1]
        return self.hits(who, kind, most, lengths) - self.hits(who, kind, few, lengths)

    def of_concept(self, concept: int) -> npt.NDArray[np.bool_]:
        """Which prompts are its [lengths * prompts], seen or shuffled."""
        concepts = [each for n in self.sizes.lengths for each in self.bayes["concepts"][str(n)]]
        its: npt.NDArray[np.bool_] = np.array(concepts) == concept
        return its

    def loss(self, corpus: Corpus) -> float:
        """On held-out documents, a mean over trainings."""
        return float(np.mean([found["loss"] for found in self.networks[corpus]]))

    @property
    def main(self) -> Corpus | None:
        """Of most sources and documents."""
        plain = [corpus for corpus in self.networks if not corpus.permuted]
        return max(plain, key=lambda c: (c.sources, c.documents), default=None)


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads what steps found."""

    sizes: Sizes
    vocabularies: Sequence[int]
    sources: Sequence[int]
    documents: Sequence[int]
    resamples: int

    def report(self, found: Sequence[Asked]) -> Report:
        """Of the steps that are done; a vocabulary whose Bayes answers are missing is left out."""
        claims: list[Claim] = []
        tables: list[Table] = []
        figures: list[Figure] = []
        for vocabulary in self.vocabularies:
            world = self._world(found, vocabulary)
            if world is None:
                continue
            suffix = f" ({vocabulary} symbols)" if len(self.vocabularies) > 1 else ""
            claims += [_of(claim, suffix) for claim in self._claims(world)]
            tables += [self._accuracies(world, suffix), self._losses(world, suffix)]
            figures += self._figures(world, vocabulary, suffix)
        return Report(tuple(claims), tuple(tables), tuple(figures), NOTES)

    def _world(self, found: Sequence[Asked], vocabulary: int) -> World | None:
        mine = [(one, corpus) for one, its, corpus in found if its == vocabulary]
        bayes = [one for one, corpus in mine if corpus is None]
        networks: dict[Corpus, list[Found]] = {}
        for one, corpus in mine:
            if corpus is not None:
                networks.setdefault(corpus, []).append(one)
        return World(self.sizes, self.resamples, bayes[0], networks) if bayes else None

    def _claims(self, world: World) -> Iterable[Claim]:
        main = world.main
        if main is None or main.sources < max(self.sources):
            return
        permuted = next((corpus for corpus in world.networks if corpus.permuted), None)
        yield self._appears(world, main, permuted)
        yield self._longer(world, main)
        yield self._unseen(world, main)
        yield self._near_bayes(world, main)
        yield self._order(world, main)
        few = [corpus for corpus in world.networks if corpus.sources < main.sources]
        if few:
            least = min(few, key=lambda c: (c.sources, -c.documents))
            yield self._mixture(world, main, least)
            yield from self._source_or_size(world, main)

    def _appears(self, world: World, main: Corpus, permuted: Corpus | None) -> Claim:
        rise = self._mean(world.rise(main, "seen"))
        control = "not trained yet"
        if permuted is not None:
            control = f"trained on permuted documents {self._mean(world.rise(permuted, 'seen'))}"
        return Claim(
            "a network trained on the mixture answers better with more examples (Xie 2022)",
            f"{self._span(world, main, 'seen')}, rise {rise}, n = {len(world.rise(main, 'seen'))} prompts",
            f"{control}; Bayes's rule {self._mean(world.rise('documents', 'seen'))} as it reads documents, "
            f"{self._mean(world.rise('prompts', 'seen'))} where it knows of prompts",
            rise.above_zero,
        )

    def _longer(self, world: World, main: Corpus) -> Claim:
        short, long = min(self.sizes.lengths), max(self.sizes.lengths)
        most = self.sizes.examples[-1]

        def apart(who: Who) -> Estimate:
            return self._mean(world.hits(who, "seen", most, [long]) - world.hits(who, "seen", most, [short]))

        found = apart(main)
        return Claim(
            f"with longer examples it answers better: length {long} against {short} (Xie 2022)",
            f"{found} with {most} examples",
            f"Bayes's rule {apart('documents')} on documents: a longer query tells more without examples too",
            None if short == long else found.above_zero,
        )

    def _unseen(self, world: World, main: Corpus) -> Claim:
        rise = self._mean(world.rise(main, "unseen"))
        return Claim(
            "it does not extrapolate to concepts that the corpus lacks: rise below .05 (Xie 2022)",
            f"{self._span(world, main, 'unseen')}, rise {rise}",
            f"seen concepts: {self._span(world, main, 'seen')}; Bayes's rule of the corpus on unseen ones: "
            f"{self._span(world, 'documents', 'unseen')}",
            False if rise.above_zero else True if rise.high < 0.05 else None,
        )

    def _near_bayes(self, world: World, main: Corpus) -> Claim:
        most = self.sizes.examples[-1]
        gap = self._mean(world.hits(main, "seen", most) - world.hits("documents", "seen", most))
        better = self._mean(world.hits("prompts", "seen", most) - world.hits("documents", "seen", most))
        return Claim(
            f"with {most} examples it is as right as Bayes's rule, within .05 (Xie 2022)",
            f"network less Bayes's rule on documents {gap}; loss on held-out documents "
            f"{world.loss(main):.3f} nats a token against {world.bayes['loss']:.3f}",
            f"Bayes's rule that knows how prompts are made, less the one that reads documents: {better}",
            True if max(abs(gap.low), abs(gap.high)) < 0.05 else False if abs(gap.value) > 0.05 else None,
        )

    def _order(self, world: World, main: Corpus) -> Claim:
        rise = self._mean(world.rise(main, "seen") - world.rise(main, "shuffled"))
        return Claim(
            "examples teach by the order of their symbols: shuffled ones do not help as much",
            f"rise less rise with shuffled examples {rise}",
            f"shuffled: {self._span(world, main, 'shuffled')}; "
            f"Bayes's rule {self._span(world, 'documents', 'shuffled')}",
            rise.above_zero,
        )

    def _mixture(self, world: World, main: Corpus, least: Corpus) -> Claim:
        apart = self._mean(world.rise(main, "seen") - world.rise(least, "seen"))
        own = world.of_concept(0)
        rise = self._mean(world.rise(least, "seen")[own])
        return Claim(
            f"without a mixture it does not come: {least.name} (Xie 2022)",
            f"rise of the mixture less rise without one {apart}; without: {self._span(world, least, 'seen')}",
            f"on prompts of the concept that it knows, where only the slot is to be found: rise {rise}, "
            f"n = {own.sum()}",
            apart.above_zero,
        )

    def _source_or_size(self, world: World, main: Corpus) -> Iterable[Claim]:
        """Corners of the grid: fewer sources at the same size against less text of the same sources."""
        corners = [
            Corpus(min(self.sources), max(self.documents)),
            Corpus(main.sources, min(self.documents)),
        ]
        if len(set(self.documents)) < 2 or any(corner not in world.networks for corner in corners):
            return
        most = self.sizes.examples[-1]
        narrow, small = (world.hits(corner, "seen", most) for corner in corners)
        full = world.hits(main, "seen", most)
        apart = self._mean(small - narrow)
        yield Claim(
            "sources matter more than size (Shin 2022 found so of real corpora)",
            f"{corners[1].name} less {corners[0].name}, accuracy with {most} examples: {apart}",
            f"what more sources bring at the same size {self._mean(full - narrow)}, "
            f"what more text of the same sources brings {self._mean(full - small)}",
            apart.above_zero,
        )

    def _mean(self, rows: Floats) -> Estimate:
        return mean(rows, self.resamples)

    def _span(self, world: World, who: Who, kind: str) -> str:
        """Accuracy with fewest and with most examples."""
        few, most = self.sizes.examples[0], self.sizes.examples[-1]
        ends = [world.accuracy(who, kind, at).value for at in (few, most)]
        return f"{ends[0]:.3f} with {few} examples, {ends[1]:.3f} with {most}"

    def _accuracies(self, world: World, suffix: str) -> Table:
        rows: list[tuple[str | float, ...]] = []
        for name, who in self._rows(world):
            for kind in KINDS:
                for length in self.sizes.lengths:
                    cells = [world.hits(who, kind, k, [length]).mean() for k in self.sizes.examples]
                    rows.append((name, kind, length, *(round(float(cell), 3) for cell in cells)))
        columns = ("who", "prompts", "length", *(f"{k} examples" for k in self.sizes.examples))
        return Table("accuracy" + suffix, columns, tuple(rows))

    def _rows(self, world: World) -> list[tuple[str, Who]]:
        named: list[tuple[str, Who]] = [(corpus.name, corpus) for corpus in world.networks]
        return [("Bayes's rule, as documents", "documents"), ("Bayes's rule, as prompts", "prompts"), *named]

    def _losses(self, world: World, suffix: str) -> Table:
        rows: list[tuple[str, float, float | None]] = [("Bayes's rule", round(world.bayes["loss"], 4), None)]
        for corpus, found in world.networks.items():
            last = float(np.mean([one["losses"][-1][1] for one in found]))
            rows.append((corpus.name, round(world.loss(corpus), 4), round(last, 4)))
        columns = ("corpus", "held-out documents of all concepts, nats a token", "its own, as training ended")
        return Table("loss" + suffix, columns, tuple(rows))

    def _figures(self, world: World, vocabulary: int, suffix: str) -> Iterable[Figure]:
        main = world.main
        if main is None:
            return
        lines = []
        for n in self.sizes.lengths:
            lines.append(self._line(world, f"length {n}", main, "seen", (n,)))
            lines.append(self._line(world, f"Bayes, length {n}", "documents", "seen", (n,), control=True))
        yield self._figure(f"ginc-lengths-{vocabulary}", f"{main.name}: accuracy by length{suffix}", lines)
        lines = [
            self._line(world, f"{main.name}: {kind}", main, kind, control=kind != "seen") for kind in KINDS
        ]
        others = [corpus for corpus in world.networks if corpus != main]
        lines += [self._line(world, f"{other.name}: seen", other, "seen", control=True) for other in others]
        yield self._figure(
            f"ginc-controls-{vocabulary}", f"All lengths together, and controls{suffix}", lines
        )

    def _figure(self, name: str, title: str, lines: Sequence[Series]) -> Figure:
        return Figure(name, title, "examples in the prompt", "share of right last symbols", tuple(lines))

    def _line(
        self, world: World, name: str, who: Who, kind: str, lengths: Sequence[int] = (), control: bool = False
    ) -> Series:
        found = [world.accuracy(who, kind, k, lengths) for k in self.sizes.examples]
        return Series(
            name,
            [float(k) for k in self.sizes.examples],
            [one.value for one in found],
            [one.low for one in found],
            [one.high for one in found],
            control=control,
        )


NOTES = (
    "Intervals are over prompts, of one world; other worlds and other first weights differ by more.",
    "A label is the likeliest symbol after the query under the prompt's own concept and first slot, as the "
    "authors' code has it, not the symbol that came.",
)


def _of(claim: Claim, suffix: str) -> Claim:
    return Claim(claim.said + suffix, claim.measured, claim.control, claim.holds)
