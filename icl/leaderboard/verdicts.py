"""What a judge said of a row's answers, how far that agrees with the task's own metric, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from icl.experiments.folder.verdicts import DETAIL
from icl.experiments.records import CellResult
from icl.judges.shared.grades import LETTERS
from icl.metrics.shared.agreement import Estimate, kappa, share, table
from icl.metrics.shared.attempts import Attempts, attempts
from icl.types import Usage

WORDS = ("right", "wrong")
ATTEMPTS = tuple(LETTERS)
"""Labels of which CGA and F are told."""


def none_graded(result: CellResult) -> bool:
    """Whether a judge has read a cell and could grade none of its answers."""
    said = result.notes.get(DETAIL, {})
    return bool(said) and said["ungraded"] == len(result.predictions)


@dataclass(frozen=True)
class Verdicts:
    """Over the complete cells of a row, seeds together; what could not be graded is counted apart."""

    judge: str
    """With its model and parameters."""
    labels: tuple[str | None, ...]
    """A prediction each; None: not graded."""
    right: tuple[tuple[str, str], ...]
    """By the judge (a score of 0.5 or more) and by the task's own metric, of predictions with a score."""
    usage: Usage

    @classmethod
    def of(cls, results: Sequence[CellResult]) -> Verdicts | None:
        """None unless all complete cells of the row are judged."""
        if not results or any(DETAIL not in result.notes for result in results):
            return None
        said = [(p, p.details[DETAIL]) for result in results for p in result.predictions]
        held = [(p.correct, v["score"]) for p, v in said if v.get("score") is not None]
        return cls(
            str(results[0].notes[DETAIL]["label"]),
            tuple(v.get("label") for _, v in said),
            tuple((WORDS[score < 0.5], WORDS[not correct]) for correct, score in held),
            Usage.total(Usage(*result.notes[DETAIL]["usage"]) for result in results),
        )

    @property
    def counts(self) -> dict[str, int]:
        """Label -> how many."""
        return dict(Counter(label for label in self.labels if label is not None))

    @property
    def ungraded(self) -> int:
        """Predictions without a label."""
        return sum(label is None for label in self.labels)

    @property
    def attempts(self) -> Attempts | None:
        """Counts of correct, incorrect and not attempted; None where the judge has other labels."""
        if any(label not in ATTEMPTS for label in self.counts):
            return None
        names = (ATTEMPTS[0], ATTEMPTS[1], ATTEMPTS[2])
        return attempts(self.labels, names)

    @property
    def given_attempted(self) -> Estimate | None:
        """CGA; None where the judge has other labels, or nothing was attempted."""
        return None if self.attempts is None else self.attempts.given_attempted

    @cached_property
    def f_score(self) -> Estimate | None:
        """F; None where the judge has other labels."""
        return None if self.attempts is None else self.attempts.f_score

    @property
    def agreement(self) -> Estimate | None:
        """Share of predictions that judge and metric call right, or both wrong."""
        return share(sum(a == b for a, b in self.right), len(self.right))

    @cached_property
    def kappa(self) -> Estimate | None:
        """The same beyond chance (Cohen); None where either calls everything one thing."""
        return kappa(table([a for a, _ in self.right], [b for _, b in self.right], WORDS))
