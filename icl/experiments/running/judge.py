"""Where an outcome meets the gold target: predictions, the metrics of a cell, and what to note."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from icl.experiments import contracts
from icl.experiments.running.tally import Tally
from icl.protocols import Metric, metrics
from icl.tasks import Split
from icl.types import Demonstration, Example, Outcome, Prediction, Task, Usage

NOTHING: Mapping[str, float | str] = {}
"""One for all: a cell whose method looks back holds its predictions, and most of them give no reasons."""


def predict(
    example: Example,
    demonstrations: Sequence[Demonstration],
    outcome: Outcome,
    usage: Usage,
    metric: Metric,
    task: Task,
) -> Prediction:
    """One line of the log. Correct means a full score; a part of one is kept as details["score"].

    Of several accepted answers the one that fits best is the line's gold; details["golds"] has all.
    """
    chosen = {d.example.id: d for d in demonstrations}
    shown = [(i, chosen.get(i)) for i in outcome.prompt.demonstrations]
    scores = [contracts.score(task.metric, metric, outcome.answer, gold, task) for gold in example.golds]
    score = max(scores)
    details: dict[str, Any] = dict(outcome.details)
    if example.accepted:
        details["golds"] = list(example.golds)
    if outcome.prompt.tokens:
        details["prompt_tokens"] = outcome.prompt.tokens
    if 0 < score < 1:
        details["score"] = score
    return Prediction(
        query_id=example.id,
        demonstrations=tuple((i, None if d is None or d.score is None else float(d.score)) for i, d in shown),
        answer=outcome.answer,
        gold=example.golds[scores.index(score)],
        correct=score >= 1,
        output=outcome.output,
        label_scores=outcome.label_scores,
        dropped=outcome.prompt.dropped,
        flags=outcome.flags,
        why=tuple(NOTHING if d is None or not d.why else dict(d.why) for _, d in shown),
        details=details,
        usage=usage,
    )


def judge(tally: Tally, task: Task, names: Iterable[str]) -> dict[str, float]:
    """Metric name -> value over a whole cell."""
    return {
        name: contracts.aggregate(name, metrics.create(name), tally.answers, tally.golds, task)
        for name in dict.fromkeys(names)
    }


def about_data(split: Split) -> dict[str, Any]:
    """What was kept out of the data."""
    found: dict[str, Any] = {"overlap_kept_out_of_pool": split.report.count}
    if split.skipped:
        found["skipped_rows"] = split.skipped
    return found


def notes(tally: Tally, split: Split) -> Mapping[str, Any]:
    """What must not pass in silence, counted over a cell."""
    found = about_data(split)
    if tally.flags:
        found["flags"] = dict(sorted(tally.flags.items()))
    if tally.thinking_tokens:
        found["thinking_tokens"] = tally.thinking_tokens
    if tally.dropped:
        found["dropped_demonstrations"] = tally.dropped
    if tally.fewer:
        found["queries_with_fewer_demonstrations"] = tally.fewer
    return found


def majority(split: Split, task: Task, metric: Metric) -> tuple[Prediction, ...]:
    """The most frequent label of the pool for every query of a task that has labels.

    Ties go to the label that stands first in the task, or first in the alphabet (letters).
    """
    counts = Counter(example.target for example in split.pool)
    labels = task.labels or tuple(sorted(counts))
    best = max(labels, key=lambda label: counts[label])
    return tuple(
        Prediction(e.id, (), best, e.target, contracts.score(task.metric, metric, best, e.target, task) >= 1)
        for e in split.test
    )
