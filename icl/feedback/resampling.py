"""The bootstrap over items, which keeps together all that was said of an item: several annotators, the pairs
of a ranking, the candidates of a prompt are not drawn apart (a cluster bootstrap; Efron and Tibshirani
1993)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.metrics.shared.agreement import Estimate, share
from icl.seeding import generator

Floats = NDArray[np.float64]
AT_ONCE = 4_000_000
"""Numbers of a block of weights: bounds the memory."""
SAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are drawn: how many resamples, from which seed."""

    samples: int = SAMPLES
    seed: int = 0

    def weights(self, items: int, purpose: str, name: str = "") -> Iterator[Floats]:
        """Blocks [B, items]: how often each resample drew each item. The draws do not depend on the
        blocks."""
        stream = generator(self.seed, f"feedback.{purpose}", name)
        step = max(1, AT_ONCE // max(items, 1))
        for start in range(0, self.samples, step):
            rows = min(step, self.samples - start)
            yield stream.multinomial(items, np.full(items, 1 / items), size=rows).astype(np.float64)

    def estimate(self, value: float, found: Sequence[Floats]) -> Estimate | None:
        """`value` with the 95 % percentile interval of what the resamples gave (blocks [B]), of those in
        which it is defined. None where it is not defined itself, or in none of them."""
        drawn = np.concatenate([np.ravel(block) for block in found])
        if not np.isfinite(value) or not np.isfinite(drawn).any():
            return None
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        return Estimate(float(value), float(low), float(high))

    def ratio(self, above: Floats, below: Floats, purpose: str, name: str = "") -> Estimate | None:
        """sum(above) / sum(below) over items [I]; None of nothing, and of one item, which says nothing of
        others."""
        kept = below > 0
        above, below = above[kept], below[kept]
        if len(below) < 2:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            found = [(w @ above) / (w @ below) for w in self.weights(len(below), purpose, name)]
        return self.estimate(float(above.sum() / below.sum()), found)

    def share(self, hits: Floats, of: Floats, purpose: str, name: str = "") -> Estimate | None:
        """A share whose parts are summed over items [I]: Wilson's interval where each item counts once, or
        where all or none are hits (then for that many items: resamples would all be the same)."""
        total, right = float(of.sum()), float(hits.sum())
        if not total:
            return None
        items = int((of > 0).sum())
        if of.max() <= 1:
            return share(round(right), round(total))
        if right in (0.0, total):
            return share(items if right else 0, items)
        return self.ratio(hits, of, purpose, name) or share(round(right), round(total))


def summed(values: Sequence[float], items: Sequence[int], count: int) -> Floats:
    """Sums of `values` by item [count]."""
    found = np.bincount(np.asarray(items, dtype=np.intp), np.asarray(values, dtype=np.float64), count)
    return found.astype(np.float64)
