"""Metrics of laid-out predictions, in a form that can be exchanged and reweighted ten thousand times.

A measure turns a layout into values [B, S]: B weightings of the queries, one value a seed. A
metric that is a mean (accuracy, exact match) or a function of counts (macro-F1) needs one matrix
product for all B; any other metric is aggregated again on every resampled row, slow and exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icl.errors import ConfigError
from icl.experiments.folder.verdicts import DETAIL
from icl.experiments.records import CellResult
from icl.leaderboard.layout import Layout
from icl.metrics.shared.mean import once_each
from icl.protocols import Metric, metrics
from icl.types import Prediction, Task, Template

Floats = NDArray[np.float64]
PROBED = 2_000
"""Queries on which a fast form is compared with the metric itself under every weighting."""


class Values(Protocol):
    """A layout seen through one measure."""

    @property
    def shape(self) -> tuple[int, int]:
        """(seeds, queries)."""
        ...

    @property
    def scores(self) -> Floats | None:
        """[S, Q] one score a prediction, NaN where absent, if the metric is their mean; else None."""
        ...

    def weighted(self, weights: Floats) -> Floats:
        """Queries counted `weights` [B, Q] times -> [B, S]; NaN for a seed without any query."""
        ...

    def swapped(self, other: Values, keep: Floats) -> Floats:
        """Predictions of self where keep [B, Q] is 1 and of `other` where it is 0 -> [B, S]."""
        ...


class SumValues:
    """A metric that is a function of sums over queries: `reduce` maps [B, S, K] to [B, S]."""

    def __init__(
        self, sums: Floats, reduce: Callable[[Floats], Floats], scores: Floats | None = None
    ) -> None:
        self.sums = sums  # [S, Q, K]
        self.reduce = reduce
        self.scores = scores
        self.shape = (sums.shape[0], sums.shape[1])

    def _totals(self, weights: Floats) -> Floats:
        return np.tensordot(weights, self.sums, axes=([1], [1]))  # [B, S, K]

    def weighted(self, weights: Floats) -> Floats:
        """See Values."""
        return self.reduce(self._totals(weights))

    def swapped(self, other: Values, keep: Floats) -> Floats:
        """See Values."""
        assert isinstance(other, SumValues)  # both sides come from one measure
        # sum of k a + (1 - k) b = sum of b + sum of k (a - b): one product instead of two
        exchanged = np.tensordot(keep, self.sums - other.sums, axes=([1], [1]))
        return self.reduce(other.sums.sum(axis=1) + exchanged)


class LoopValues:
    """Any metric: `aggregate` is called once a seed and resample on the rows that were drawn."""

    scores: Floats | None = None

    def __init__(self, lay: Layout, metric: Metric, task: Task) -> None:
        self.lay = lay
        self.metric = metric
        self.task = task
        self.shape = (len(lay.seeds), len(lay.queries))

    def _value(self, rows: Sequence[Prediction | None]) -> float:
        present = [p for p in rows if p is not None]
        if not present:
            return float("nan")
        return self.metric.aggregate([p.answer for p in present], [p.gold for p in present], self.task)

    def weighted(self, weights: Floats) -> Floats:
        """See Values."""
        picks = [np.repeat(np.arange(self.shape[1]), line.astype(int)) for line in weights]
        return np.array([[self._value([line[i] for i in pick]) for line in self.lay.grid] for pick in picks])

    def swapped(self, other: Values, keep: Floats) -> Floats:
        """See Values."""
        assert isinstance(other, LoopValues)  # both sides come from one measure
        pairs = list(zip(self.lay.grid, other.lay.grid, strict=True))

        def mixed(s: int, line: Floats) -> float:
            mine, its = pairs[s]
            return self._value([a if k else b for a, b, k in zip(mine, its, line, strict=True)])

        return np.array([[mixed(s, line) for s in range(len(pairs))] for line in keep])


def _ratio(totals: Floats) -> Floats:
    """[B, S, 2] of (sum of scores, count) -> mean; NaN where the count is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(totals[..., 0] / totals[..., 1])


def mean_values(lay: Layout, score: Callable[[Prediction], float]) -> SumValues:
    """The mean of one score a prediction."""
    scores = np.array([[np.nan if p is None else score(p) for p in line] for line in lay.grid], dtype=float)
    return weighted_mean(scores.reshape(len(lay.seeds), len(lay.queries)))


def weighted_mean(scores: Floats) -> SumValues:
    """The mean of scores [S, Q]; NaN: absent."""
    present = ~np.isnan(scores)
    return SumValues(np.stack([np.where(present, scores, 0.0), present], axis=-1), _ratio, scores)


def macro_f1_values(lay: Layout, labels: Sequence[str], *, absent_is_zero: bool) -> SumValues:
    """Macro-F1 from counts [S, Q, 3 * labels] of (true positive, predicted, actual).

    A label that is neither predicted nor actual counts as F1 = 0, or not at all.
    """
    place = {label.strip().casefold(): i for i, label in enumerate(labels)}
    n = len(labels)
    sums = np.zeros((len(lay.seeds), len(lay.queries), 3 * n))
    for s, line in enumerate(lay.grid):
        for q, p in enumerate(line):
            if p is None:
                continue
            gold, answer = (
                place.get(p.gold.strip().casefold()),
                place.get((p.answer or "").strip().casefold()),
            )
            if answer is not None:
                sums[s, q, n + answer] = 1
            if gold is not None:
                sums[s, q, 2 * n + gold] = 1
                sums[s, q, gold] = float(gold == answer)

    def reduce(totals: Floats) -> Floats:
        support = totals[..., n : 2 * n] + totals[..., 2 * n :]
        f1 = np.divide(2 * totals[..., :n], support, out=np.zeros_like(support), where=support > 0)
        count = float(n) if absent_is_zero else (support > 0).sum(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = f1.sum(-1) / count
        return np.where(totals[..., 2 * n :].sum(-1) > 0, value, np.nan)

    return SumValues(sums, reduce)


def stand_in_task(name: str, cells: Sequence[CellResult]) -> Task:
    """A task as far as predictions show it: labels from the scored labels, else the golds met."""
    labels: dict[str, None] = {}
    for result in cells:
        for prediction in result.predictions:
            for label in prediction.label_scores:
                labels.setdefault(label)
    if not labels:
        labels = dict.fromkeys(sorted({p.gold for r in cells for p in r.predictions}))
    return Task(name, "classification", Template(""), ("text",), labels=tuple(labels))


@dataclass(frozen=True, slots=True)
class Judged:
    """A task and the metric that judges it; no metric: the mean of a score that predictions have."""

    name: str
    metric: Metric | None
    task: Task
    score: Callable[[Prediction], float] = lambda p: float(p.correct)
    """NaN where a prediction has none."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Task name -> how it is judged, ready to look at layouts of any task of the table."""

    judged: Mapping[str, Judged]

    @property
    def name(self) -> str:
        """The metric's name; "score" where tasks are judged by different ones."""
        names = dict.fromkeys(judged.name for judged in self.judged.values())
        return next(iter(names)) if len(names) == 1 else "score"

    def values(self, task_name: str, *layouts: Layout) -> list[Values]:
        """Each layout in the fast form where that is proven equal to the metric on all of them
        (probed with weights, and with two layouts mixed), else as the loop."""
        judged = self.judged[task_name]
        task, metric = judged.task, judged.metric
        if metric is None:
            return [mean_values(lay, judged.score) for lay in layouts]
        score = once_each(metric.score)
        loops: list[Values] = [LoopValues(lay, metric, task) for lay in layouts]
        forms: list[Callable[[Layout], Values]] = [
            lambda lay: mean_values(lay, lambda p: score(p.answer, p.gold, task))
        ]
        if "macro" in judged.name:
            labels = task.labels or _labels(layouts)
            forms = [
                lambda lay: macro_f1_values(lay, labels, absent_is_zero=False),
                lambda lay: macro_f1_values(lay, labels, absent_is_zero=True),
            ]
        for form in forms:
            fast = [form(lay) for lay in layouts]
            if np.allclose(_probe(fast), _probe(loops), atol=1e-9, equal_nan=True):
                return fast
        return loops


def _labels(layouts: Sequence[Layout]) -> tuple[str, ...]:
    """Golds and answers met, in order: labels of a task that lists none (letters of choices)."""
    met: dict[str, None] = {}
    for prediction in (p for lay in layouts for line in lay.grid for p in line if p is not None):
        met.setdefault(prediction.gold)
        if prediction.answer is not None:
            met.setdefault(prediction.answer)
    return tuple(met)


def _probe(values: Sequence[Values]) -> Floats:
    """Values under a few weightings and mixtures: equal for two forms of one metric.

    All queries count in the first weighting and in one mixture; in the others PROBED of them, evenly
    spaced, do: a metric that is no mean shows there as well.
    """
    size = values[0].shape[1]
    index = np.arange(size)
    probed = index % max(size // PROBED, 1) == 0
    sevenths = np.where(probed, (np.cumsum(probed) - 1) % 7, 9)[None, :]
    some = np.concatenate([sevenths == 0, sevenths < 4, sevenths % 9]).astype(float)
    weights = np.concatenate([np.ones((1, size)), some])
    keep = np.minimum(weights, 1.0) if size <= PROBED else (index % 7 < 4)[None, :].astype(float)
    found = [v.weighted(weights) for v in values]
    found += [values[0].swapped(other, keep) for other in values[1:]]
    return np.concatenate(found, axis=0)


def is_judged(cells: Sequence[CellResult]) -> bool:
    """Whether a judge has judged every complete cell, of which there are some."""
    whole = [result for result in cells if result.complete]
    return bool(whole) and all(DETAIL in result.notes for result in whole)


def check_judged(cells: Sequence[CellResult]) -> None:
    """ConfigError where a complete cell has no verdicts."""
    whole = [result for result in cells if result.complete]
    open_ = sum(DETAIL not in result.notes for result in whole)
    if open_:
        raise ConfigError(
            f"metric 'judge': {open_} of {len(whole)} cells are not judged: name a judge in the experiment, "
            "metric: {judge: {simpleqa: {model: NAME}}}, and give icl run again; no answer is asked again"
        )


def score_by_judge(prediction: Prediction) -> float:
    """NaN where it could not be graded."""
    score = prediction.details.get(DETAIL, {}).get("score")
    return float("nan") if score is None else float(score)


def measure(metric: str | Metric | None, tasks: Mapping[str, Task], cells: Sequence[CellResult]) -> Measure:
    """How each task of the cells is judged: by a registered name, a Metric object, or, with None,
    by the task's own metric.

    "judge" is the score that the run's judge gave.
    Accuracy of a task that is not in `tasks` is the share of predictions marked correct; another
    metric then sees the labels met in the predictions. Raises ConfigError on an unknown name.
    """
    by_task: dict[str, list[CellResult]] = {}
    for result in cells:
        by_task.setdefault(result.cell.task, []).append(result)
    judged = {}
    for name, group in by_task.items():
        task = tasks.get(name)
        wanted = metric if metric is not None else task.metric if task else "accuracy"
        if wanted == DETAIL:
            check_judged(group)
            judged[name] = Judged(DETAIL, None, task or stand_in_task(name, group), score_by_judge)
            continue
        if wanted == "accuracy" and task is None:
            judged[name] = Judged("accuracy", None, stand_in_task(name, group))
            continue
        found = metrics.create(wanted) if isinstance(wanted, str) else wanted
        if not hasattr(found, "aggregate"):
            raise ConfigError(f"metric {wanted!r} has no method `aggregate`")
        label = wanted if isinstance(wanted, str) else type(wanted).__name__.lower()
        judged[name] = Judged(label, found, task or stand_in_task(name, group))
    return Measure(judged)
