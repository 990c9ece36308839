"""Label scores freed of what the model prefers over the whole test batch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from icl.calibration.shared.reference import by_label, measure
from icl.components import MethodDefaults, check_choice, check_number
from icl.labels import LABELLED, NORMALISE, Normalise, choose
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Outcome, Query


@methods.register(
    "batch",
    paper="Zhou et al. 2024, Batch Calibration: Rethinking Calibration for In-Context Learning "
    "and Prompt Engineering",
)
class Batch(MethodDefaults):
    """Batch calibration: argmax of log p(y | x) less `strength` x log of its mean over the test batch.

    p is normalised over the labels; the batch is every query of the cell, with no label of any.
    `strength` is the paper's gamma, 1 without labelled data. Multiple choice takes the mean over
    queries with the same letters. Nothing is asked beyond direct scoring.
    `normalise`: labels of several tokens by "sum" or "mean" log-probability. Ties go to the label
    that stands first; a margin below 1e-4 nats is flagged near_tie.

    Since an answer depends on the other queries, it is final only once all are in.
    """

    kinds = LABELLED

    def __init__(self, *, strength: float = 1.0, normalise: Normalise = "sum") -> None:
        check_number("strength", strength)
        check_choice("normalise", normalise, NORMALISE)
        self.strength = strength
        self.normalise = normalise

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """One request; the outcome before calibration."""
        seen = yield from measure(query, (), demonstrations, resources, self.normalise)
        label_scores = by_label(seen.labels, seen.logprobs)
        best, margin, flags = choose(label_scores)
        return Outcome(best, seen.prompt, label_scores=label_scores, flags=flags, details={"margin": margin})

    def finish(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes calibrated by the mean over those that have the same options."""
        from scipy.special import log_softmax

        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for at, outcome in enumerate(outcomes):
            groups[tuple(outcome.label_scores)].append(at)
        finished = list(outcomes)
        for labels, members in groups.items():
            rows = np.array([list(outcomes[at].label_scores.values()) for at in members])
            mean = _log_mean(log_softmax(rows, axis=1))
            for at, row in zip(members, rows, strict=True):
                finished[at] = self._calibrated(outcomes[at], labels, row, mean)
        return finished

    def _calibrated(
        self, outcome: Outcome, labels: Sequence[str], row: NDArray[np.float64], mean: NDArray[np.float64]
    ) -> Outcome:
        """`row`: [labels] log-probabilities; `mean`: [labels] log of their mean over the batch."""
        label_scores = by_label(labels, row - self.strength * mean)
        best, margin, near = choose(label_scores)
        flags = (*(flag for flag in outcome.flags if flag != "near_tie"), *near)
        details = {
            **outcome.details,
            "margin": margin,
            "logprobs": dict(outcome.label_scores),
            "batch_mean": by_label(labels, np.exp(mean)),
        }
        return replace(outcome, answer=best, label_scores=label_scores, flags=flags, details=details)


def _log_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """log of the mean probability; [n, labels] log-probabilities -> [labels].

    Relative to the largest, so that nothing underflows, and summed exactly, so that the order of
    the queries has no say.
    """
    top = rows.max(axis=0)
    sums = [math.fsum(column) / len(rows) for column in np.exp(rows - top).T.tolist()]
    mean: NDArray[np.float64] = top + np.log(sums)
    return mean
