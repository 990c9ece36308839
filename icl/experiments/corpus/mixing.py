"""From finished parts to the rows of a corpus: duplicates left out, draws by the mixture, in one stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from icl.experiments.corpus.check import PRETRAINING, CheckedPart, CheckedRecipe, mixture_rates
from icl.experiments.corpus.folder import CorpusFolder, RowFile
from icl.instructions.card import Rejects
from icl.instructions.rows import InstructionRow
from icl.mixing import draws, repeats

DUPLICATE = "equal to an earlier row"


class Mixture:
    """The rows of a corpus. Memory is less than 60 bytes a row at its peak: texts stay where they are."""

    def __init__(self, checked: CheckedRecipe, folder: CorpusFolder) -> None:
        """Reads every part once. ConfigError where there is nothing to draw from."""
        self._checked = checked
        self.rejects = Rejects()
        self._files = [RowFile(folder.rows_of(one.label)) for one in checked.parts]
        self._own = self._distinct()
        self.sizes = [len(rows) for rows in self._own]
        mix = checked.recipe.mix
        self.drawn: Counter[int] = Counter()
        try:
            self.shares = mixture_rates(checked.recipe, self.sizes, list(checked.parts))
        except ValueError as error:
            raise checked.source.error(("mix",), str(error)) from error
        self.count = sum(self.sizes) if mix is None else mix.rows or self._capped(checked.parts)

    def _distinct(self) -> list[np.ndarray]:
        """Of each part the rows that no row before them equals, in this part or one before."""
        keys = np.fromiter((row.key for file in self._files for row in file), dtype=np.uint64)
        _, first = np.unique(keys, return_index=True)
        kept = np.zeros(len(keys), dtype=bool)
        kept[first] = True
        found, begin = [], 0
        for file in self._files:
            own = kept[begin : begin + len(file)]
            for at in np.flatnonzero(~own).tolist():
                self.rejects.add(DUPLICATE, file[at].prompt or file[at].text)
            found.append(np.flatnonzero(own).astype(np.uint32))
            begin += len(file)
        return found

    def _capped(self, parts: Sequence[CheckedPart]) -> int:
        """As many as the parts have rows, each counted to its cap; plain text by its share besides."""
        mix = self._checked.recipe.mix
        assert mix is not None
        total = 0
        for one, size in zip(parts, self.sizes, strict=True):
            if one.label == PRETRAINING:
                continue
            group = mix.groups.get(one.part.group or one.label)
            caps = (one.part.cap, None if group is None else group.cap, mix.cap)
            cap = next((c for c in caps if c is not None), None)
            total += size if cap is None else min(size, cap)
        share = 0.0 if mix.pretraining is None else mix.pretraining.share
        return max(round(total / (1 - share)), 1)

    def __iter__(self) -> Iterator[tuple[InstructionRow, int]]:
        """(row, how often it stood before it), in the order of the corpus."""
        if self._checked.recipe.mix is None:
            for source, (file, own) in enumerate(zip(self._files, self._own, strict=True)):
                self.drawn[source] = len(own)
                for at in own.tolist():
                    yield file[at], 0
            return
        stream = draws(self.shares, self.sizes, self._checked.recipe.seed)
        for draw in islice(stream, self.count):
            self.drawn[draw.source] += 1
            yield self._files[draw.source][int(self._own[draw.source][draw.row])], draw.epoch

    @property
    def plain(self) -> dict[str, Any]:
        """For the card, after the rows were drawn."""
        mix = self._checked.recipe.mix
        if mix is None:
            how, shares = (
                "Every row once, in the order of the parts.",
                [size / max(self.count, 1) for size in self.sizes],
            )
        else:
            cap = "no cap" if mix.cap is None else f"cap {mix.cap:,}"
            levels = f"; two levels, {len(mix.groups)} groups with weights" if mix.groups else ""
            how = (
                f"{self.count:,} draws, rates w min(n, K)^(1/T) normalised: {cap}, temperature "
                f"{mix.temperature:g}{levels}. Without replacement within an epoch of a part."
            )
            shares = self.shares
        expected = repeats(shares, self.sizes, self.count)
        return {
            "how": how,
            "parts": [
                {
                    "name": one.label,
                    "group": one.part.group,
                    "unique": size,
                    "quality": one.part.quality,
                    "rate": share,
                    "drawn": self.drawn[at],
                    "repeats": round(self.drawn[at] / size, 4) if size else 0.0,
                    "repeats_expected": round(expected[at], 4),
                }
                for at, (one, size, share) in enumerate(
                    zip(self._checked.parts, self.sizes, shares, strict=True)
                )
            ],
        }

    def close(self) -> None:
        """Lets go of the parts."""
        for file in self._files:
            file.close()
