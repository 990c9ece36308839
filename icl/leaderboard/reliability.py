"""Whether label probabilities mean what they say, and whether some labels are preferred.

**Expected calibration error** (Naeini et al. 2015; Guo et al. 2017): the confidence of a prediction is the
softmax of its label scores at the answer; over 15 bins of equal width, the mean distance between confidence
and share of right answers, weighted by the number of predictions. Only those with label scores count.

**Label bias**: the total variation distance between the shares of labels among the answers and among the
golds: the share of answers that would have to be another label for the two to be the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from icl.labels import label_probabilities
from icl.leaderboard.intervals import Floats
from icl.types import Prediction

BINS = 15
SUM = 1e-6
"""How far a sum of differences of probabilities may be from 0."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about one confidence."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean; 0 of no predictions."""
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of one row, all seeds together."""

    bins: tuple[Bin, ...]
    """BINS of them, or none where no prediction has label scores."""
    predicted: Mapping[str, float]
    """Label -> its share of the answers; unparsed ones are left out."""
    gold: Mapping[str, float]
    """Label -> its share of the golds of the same predictions."""

    @property
    def ece(self) -> float | None:
        """Expected calibration error, 0 to 1; None without label scores."""
        total = sum(one.count for one in self.bins)
        if not total:
            return None
        return sum(one.count * abs(one.accuracy - one.confidence) for one in self.bins) / total

    @property
    def ece_calibrated(self) -> float | None:
        """What `ece` would be on average if every confidence were true, with as many predictions in each bin:
        few predictions never match their confidence. The mean absolute deviation of binomials; predictions
        of one query under several seeds hang together, and would show more."""
        total = sum(one.count for one in self.bins)
        if not total:
            return None
        return sum(one.count * deviation(one.count, one.confidence) for one in self.bins if one.count) / total

    @property
    def overconfidence(self) -> float | None:
        """Mean confidence less accuracy; None without label scores."""
        total = sum(one.count for one in self.bins)
        if not total:
            return None
        return sum(one.count * (one.confidence - one.accuracy) for one in self.bins) / total

    @property
    def bias(self) -> float | None:
        """Total variation distance of answers and golds, 0 to 1; None without labels."""
        if not self.predicted:
            return None
        return sum(abs(gap) for gap in self.gaps.values()) / 2

    @property
    def gaps(self) -> dict[str, float]:
        """Label -> its share of the answers less that of the golds."""
        labels = dict.fromkeys([*self.gold, *self.predicted])
        return {label: self.predicted.get(label, 0.0) - self.gold.get(label, 0.0) for label in labels}

    @property
    def preferred_gap(self) -> float | None:
        """Its share of the answers less that of the golds."""
        label = self.preferred
        return None if label is None else self.gaps[label]

    @property
    def preferred(self) -> str | None:
        """The label that is answered most above its share of the golds; None without such a label."""
        gaps = self.gaps
        above = [label for label in gaps if gaps[label] > 0]
        return max(above, key=lambda label: gaps[label]) if above else None


def reliability(predictions: Iterable[Prediction]) -> Reliability:
    """Of the predictions of a row. Labels are those of predictions with label scores; what was written
    freely, a number or a name, is no label."""
    labelled = [p for p in predictions if p.label_scores]
    answered = [p for p in labelled if p.answer is not None]
    scored = [(c, p.correct) for p in answered if (c := confidence(p)) is not None]
    return Reliability(
        bins_of(np.array([c for c, _ in scored]), np.array([right for _, right in scored], dtype=float)),
        _shares([p.answer for p in answered if p.answer is not None]),
        _shares([p.gold for p in answered]),
    )


def deviation(count: int, share: float) -> float:
    """Mean distance of a binomial's share of `count` from `share` (De Moivre 1730)."""
    if not 0.0 < share < 1.0:
        return 0.0
    above = int(count * share) + 1
    return 2.0 * above * (1.0 - share) * float(stats.binom.pmf(above, count, share)) / count


def confidence(prediction: Prediction) -> float | None:
    """Probability of the answer among the labels; None where the answer has no score, where there is one
    label only, and where scores are differences of probabilities, which are no logarithms."""
    scores = prediction.label_scores
    if prediction.answer is None or prediction.answer not in scores or len(scores) < 2:
        return None
    if scores[prediction.answer] > 0 and abs(sum(scores.values())) < SUM:
        return None
    return label_probabilities(scores).get(prediction.answer)


def bins_of(confidences: Floats, right: Floats) -> tuple[Bin, ...]:
    """BINS bins of equal width over [0, 1], the upper end of each belonging to it."""
    if not len(confidences):
        return ()
    place = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    summed = (np.bincount(place, weights=each, minlength=BINS) for each in (confidences, right))
    means = (each / np.maximum(counts, 1) for each in summed)
    return tuple(
        Bin(at / BINS, (at + 1) / BINS, int(n), float(c), float(a))
        for at, (n, c, a) in enumerate(zip(counts, *means, strict=True))
    )


def _shares(labels: Sequence[str]) -> dict[str, float]:
    return {label: count / len(labels) for label, count in Counter(labels).items()}
