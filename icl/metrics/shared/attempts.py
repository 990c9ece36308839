"""Figures of questions that may be left unanswered: correct, incorrect, not attempted (Wei et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from icl.metrics.shared.agreement import Counts, Estimate, bootstrap, share


@dataclass(frozen=True, slots=True)
class Attempts:
    """Counts; what could not be read is none of the three, and in no figure."""

    correct: int
    incorrect: int
    not_attempted: int

    @property
    def graded(self) -> int:
        """All three together."""
        return self.correct + self.incorrect + self.not_attempted

    @property
    def shares(self) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
        """CO, IN and NA: shares of what was graded, with Wilson intervals."""
        parts = (self.correct, self.incorrect, self.not_attempted)
        co, wrong, na = (share(part, self.graded) for part in parts)
        return co, wrong, na

    @property
    def given_attempted(self) -> Estimate | None:
        """CGA = CO / (CO + IN), with its Wilson interval; None where nothing was attempted."""
        return share(self.correct, self.correct + self.incorrect)

    @property
    def f_score(self) -> Estimate | None:
        """F = 2 CGA CO / (CGA + CO), with a bootstrap interval over questions; None without grades."""
        if not self.graded:
            return None
        return bootstrap(np.array([self.correct, self.incorrect, self.not_attempted], dtype=float), f_scores)


def f_scores(counts: Counts) -> Counts:
    """The harmonic mean of CGA and CO from counts [..., 3]: 2 correct / (graded + attempted)."""
    correct, incorrect = counts[..., 0], counts[..., 1]
    return np.asarray(2 * correct / (counts.sum(-1) + correct + incorrect))


def attempts(labels: Sequence[str | None], names: tuple[str, str, str]) -> Attempts:
    """Counts of three labels, in this order; others are passed over."""
    return Attempts(*(sum(label == name for label in labels) for name in names))
