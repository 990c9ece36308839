"""What the scores of all heads say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from icl.mechanism.contract import Claim, Figure, Found, Table
from icl.mechanism.shared.heads import Head
from icl.mechanism.shared.induction.choice import top_heads

Floats = NDArray[np.float64]
CLEAR = 0.3
"""A prefix-matching score from which a head is called an induction head here; the paper sets none."""


class Scores:
    """Of all heads."""

    def __init__(self, found: Found, heads: int) -> None:
        self.found = found
        self.prefix = np.array(found["prefix"])
        self.previous_scores = np.array(found["previous"])
        self.error = np.array(found["error"])
        self.top = top_heads(self.prefix, heads)

    def of(self, name: str, head: Head) -> float | None:
        """One score; None where it could not be measured."""
        value: float | None = self.found[name][head.layer][head.head]
        return value

    def claim(self) -> Claim:
        """That there are such heads."""
        best, uniform = self.top[0], self.found["uniform"]
        value, error = self.prefix[best], self.error[best]
        layers = sorted({int(layer) for layer in np.argwhere(self.prefix > CLEAR)[:, 0]})
        return Claim(
            "some heads look at what followed the same token before (prefix matching; Olsson 2022)",
            f"{int((self.prefix > CLEAR).sum())} of {self.prefix.size} heads above {CLEAR}"
            + (f", in layers {', '.join(map(str, layers))}" if layers else "")
            + f"; the highest, {best}, {value:.3f} (standard error {error:.3f}, {self.found['sequences']} "
            "sequences)",
            f"a head that looks at all tokens alike: {uniform:.3f}; the median head: "
            f"{np.median(self.prefix):.3f}",
            bool(value - 2 * error > CLEAR) if uniform < CLEAR else None,
        )

    def copying(self) -> tuple[Claim, Claim]:
        """That they copy: by their weights, and by what they do to the repeated tokens."""
        said = "heads with high prefix matching copy what they look at"
        return (
            self._beside(
                f"{said}: their OV eigenvalues are positive (Olsson 2022)", "positivity", "sum(re)/sum|l|"
            ),
            self._beside(
                f"{said}: their output lifts its logit (Olsson 2022)", "direct", "direct lift in SD"
            ),
        )

    def _beside(self, said: str, name: str, words: str) -> Claim:
        """The top heads beside all others."""
        others = [Head(*at) for at in np.ndindex(*self.prefix.shape) if Head(*at) not in self.top]
        own, rest = (self._known(name, heads) for heads in (self.top, others))
        if len(own) < 2 or len(rest) < 2:
            few = f"{words} is known of {len(own)} of the top heads and of {len(rest)} others"
            return Claim(said, few, "none: two of each are needed", None)
        gap, low, high, p = _welch(own, rest)
        return Claim(
            said,
            f"{words} {np.mean(own):.3f} on average of the top {len(own)}",
            f"the other {len(rest)} heads: {np.mean(rest):.3f}; difference {gap:.3f} [{low:.3f}, "
            f"{high:.3f}], "
            f"p {p:.3g} (Welch)",
            bool(gap > 0) if p < 0.05 else None,
        )

    def previous(self) -> Claim:
        """That what they need stands below them."""
        best = top_heads(self.previous_scores, 1)[0]
        first = self.top[0].layer
        return Claim(
            "a previous-token head stands in a layer below the induction heads, which compose with it "
            "(Olsson 2022)",
            f"the highest previous-token score is {self.previous_scores[best]:.3f}, of head {best}; the "
            "highest "
            f"prefix-matching score is in layer {first}",
            f"a head that looks at all tokens alike: {self.found['uniform_previous']:.3f}",
            best.layer < first,
        )

    def _known(self, name: str, heads: list[Head]) -> Floats:
        values = [value for head in heads if (value := self.of(name, head)) is not None]
        return np.array(values, dtype=np.float64)

    def table(self) -> Table:
        """Of the top heads."""
        rows = tuple(
            (str(head), *(self.of(n, head) for n in ("prefix", "error", "previous", "positivity", "direct")))
            for head in self.top
        )
        columns = (
            "head",
            "prefix matching",
            "standard error",
            "previous token",
            "OV positivity",
            "direct lift, SD",
        )
        return Table("top heads", columns, rows)

    def figures(self) -> Iterator[Figure]:
        """Maps of all heads."""
        for name, title in (("prefix", "Prefix-matching score"), ("previous", "Previous-token score")):
            cells = [[float(value) for value in row] for row in self.found[name]]
            yield Figure(f"{name}_heads", f"{title} of every head", "head", "layer", cells=cells)

    def notes(self) -> Iterator[str]:
        """Of what the numbers are."""
        yield (
            f"OV eigenvalues are of {self.found['circuit']}, with the gains of norms and without "
            "feed-forward layers"
        )
        missing = sum(value is None for row in self.found["positivity"] for value in row)
        if missing:
            yield f"of {missing} heads no linear layer gives the values: their OV eigenvalues are left out"


def _welch(own: Floats, rest: Floats) -> tuple[float, float, float, float]:
    """Difference of means, its 95 % interval, and p."""
    from scipy.stats import ttest_ind

    test = ttest_ind(own, rest, equal_var=False)
    interval = test.confidence_interval(0.95)
    return float(own.mean() - rest.mean()), float(interval.low), float(interval.high), float(test.pvalue)
