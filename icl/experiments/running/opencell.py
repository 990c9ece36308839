"""A cell at work: outcomes come in in any order, predictions are written in that of the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from icl.experiments.asking.metered import Cost
from icl.experiments.folder.cellfile import CellWriter
from icl.experiments.grid.cells import PlannedCell
from icl.experiments.grid.choices import Choices, Demonstrations
from icl.experiments.records import CellResult
from icl.experiments.running.judge import judge, notes, predict
from icl.protocols import Method, Metric
from icl.types import Outcome, Prediction, Task, Usage


@dataclass
class OpenCell:
    """One cell from its demonstrations to its metrics."""

    planned: PlannedCell
    task: Task
    choices: Choices
    writer: CellWriter
    metric: Metric
    metric_names: tuple[str, ...]
    demonstrations: Demonstrations = ()
    reasons: Sequence[Mapping[str, Any]] = ()
    """Why the demonstrations stand in this order, one mapping a query, where the orderer tells."""
    method: Method = field(init=False)
    cost: Cost = field(default_factory=Cost)
    paid: set[int] = field(default_factory=set)
    """What its conversations have paid for (`Conversation.paid`)."""
    outcomes: dict[int, tuple[Outcome, Usage]] = field(default_factory=dict)
    predictions: list[Prediction] = field(default_factory=list)

    def begin(self) -> None:
        """Chooses the demonstrations and fits the method; costs stay as first measured."""
        self.demonstrations, selecting = self.choices.demonstrations(self.planned)
        self.reasons = self.choices.reasons(self.planned)
        self.method, fitting = self.choices.method(self.planned.method)
        self.cost = selecting + fitting
        kept = self.writer.selection
        if kept is not None:
            self.cost = Cost(*kept)
        else:
            self.writer.start(self._result(()))

    def receive(self, index: int, outcome: Outcome, usage: Usage) -> bool:
        """Takes one outcome. True once the cell is final."""
        # The prompt's text is as long as all the rest together, and can be rendered again.
        self.outcomes[index] = (replace(outcome, prompt=replace(outcome.prompt, text="")), usage)
        while (at := len(self.predictions)) in self.outcomes:
            self.predictions.append(self._predict(at, *self.outcomes[at]))
            self.writer.append(at, self.predictions[at])
        if len(self.predictions) < len(self.choices.queries):
            return False
        self._finish()
        return True

    def _predict(self, index: int, outcome: Outcome, usage: Usage) -> Prediction:
        example = self.choices.split.test[index]
        if self.reasons and self.reasons[index]:
            outcome = replace(outcome, details={**outcome.details, "order": dict(self.reasons[index])})
        return predict(example, self.demonstrations[index], outcome, usage, self.metric, self.task)

    def _finish(self) -> None:
        told = [self.outcomes[i][0] for i in range(len(self.outcomes))]
        final = self.method.finish(list(told))
        if len(final) != len(told):
            raise ValueError(f"method {self.planned.method.label}: finish lost outcomes")
        for i, (before, after) in enumerate(zip(told, final, strict=True)):
            if after is not before:
                self.predictions[i] = self._predict(i, after, self.outcomes[i][1])
        self.writer.finish(self._result(tuple(self.predictions)))
        self.outcomes.clear()

    def _result(self, predictions: tuple[Prediction, ...]) -> CellResult:
        done = bool(predictions)
        return CellResult(
            cell=self.planned.cell,
            predictions=predictions,
            selection_usage=self.cost.usage,
            selection_seconds=self.cost.seconds,
            metrics=judge(predictions, self.task, self.metric_names) if done else {},
            complete=done,
            notes=notes(predictions, self.choices.split, self.planned.shots) if done else {},
        )


@dataclass(frozen=True, slots=True)
class Place:
    """One query of one cell."""

    cell: OpenCell
    index: int

    def __str__(self) -> str:
        cell = self.cell.planned.cell
        return (
            f"{cell.selector} {cell.shots}-shot {cell.orderer} {cell.method}, seed {cell.seed}, "
            f"query {self.cell.choices.queries[self.index].id!r}"
        )
