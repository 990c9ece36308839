"""A cell at work: outcomes come in in any order, predictions are written in that of the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from icl.components import MethodDefaults
from icl.experiments import contracts
from icl.experiments.asking.metered import Cost
from icl.experiments.asking.thinking import marked, thinking_tokens
from icl.experiments.folder.cellfile import CellWriter
from icl.experiments.folder.texts import TaskTexts
from icl.experiments.grid.cells import PlannedCell
from icl.experiments.grid.choices import Choices, Demonstrations
from icl.experiments.records import CellResult
from icl.experiments.running.judge import judge, notes, predict
from icl.experiments.running.tally import Tally
from icl.protocols import Method, Metric, Solve
from icl.types import Outcome, Prediction, Query, Task, Usage


@dataclass
class OpenCell:
    """One cell from its demonstrations to its metrics."""

    planned: PlannedCell
    task: Task
    choices: Choices
    writer: CellWriter
    texts: TaskTexts
    metric: Metric
    metric_names: tuple[str, ...]
    demonstrations: Demonstrations = ()
    reasons: Sequence[Mapping[str, Any]] = ()
    """Why the demonstrations stand in this order, one mapping a query, where the orderer tells."""
    method: Method = field(init=False)
    cost: Cost = field(default_factory=Cost)
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the tuning; {} without one."""
    paid: set[int] = field(default_factory=set)
    """What its conversations have paid for (`Conversation.paid`)."""
    outcomes: dict[int, tuple[Outcome, Usage]] = field(default_factory=dict)
    """Those that wait for their turn, and all of them where the method looks back at the end."""
    tally: Tally = field(init=False)
    """Of the predictions that are written, which are let go."""
    predictions: list[Prediction] = field(default_factory=list)
    """All of them where the method looks back, else none."""

    def __post_init__(self) -> None:
        self.tally = Tally(self.planned.shots)

    def begin(self) -> None:
        """Chooses the demonstrations and fits the method; costs stay as first measured."""
        self.demonstrations, selecting = self.choices.demonstrations(self.planned)
        self.reasons = self.choices.reasons(self.planned)
        self.method, fitting = self.choices.method(self.planned.method)
        self.cost = selecting + fitting
        kept = self.writer.started
        if kept is not None and kept.queries in (None, len(self.choices.queries)):
            self.cost = Cost(kept.selection_usage, kept.selection_seconds)
            if self.writer.is_elsewhere:
                self.writer.start(self._result(()))
        else:
            if kept is not None:  # for fewer queries: what was asked then is in the cache with its cost
                self.cost.seconds += kept.selection_seconds
            self.writer.start(self._result(()))
        self.texts.add(d.example for shown in self.demonstrations for d in shown)

    def solve(self, index: int, query: Query, where: str) -> Solve:
        """The method's conversation about one query, held against the contract."""
        label, shown = self.planned.method.label, self.demonstrations[index]
        with contracts.calling("method", label, self.method, "solve", where):
            solve = self.method.solve(query, shown, self.choices.resources)
        return marked(contracts.conversation(label, self.method, solve, where), self.task.reading.think)

    def receive(self, index: int, outcome: Outcome, usage: Usage) -> bool:
        """Takes one outcome. True once the cell is final."""
        # The prompt's text is as long as all the rest together, and can be rendered again.
        model = self.choices.resources.model
        if model and (thought := thinking_tokens(outcome, self.task, model.tokenizer)):
            outcome = replace(outcome, details={**outcome.details, "thinking_tokens": thought})
        self.outcomes[index] = (replace(outcome, prompt=replace(outcome.prompt, text="")), usage)
        while (at := len(self.tally)) in self.outcomes:
            prediction = self._predict(at, *self.outcomes[at])
            self._write(at, prediction)
            self.tally.add(prediction)
            if self._looks_back:
                self.predictions.append(prediction)
            else:
                del self.outcomes[at]
        if len(self.tally) < len(self.choices.queries):
            return False
        self._finish()
        return True

    def _predict(self, index: int, outcome: Outcome, usage: Usage) -> Prediction:
        example = self.choices.split.test[index]
        if self.reasons and self.reasons[index]:
            outcome = replace(outcome, details={**outcome.details, "order": dict(self.reasons[index])})
        shown = self.demonstrations[index]
        chosen = {d.example.id for d in shown}
        own = [i for i in outcome.prompt.demonstrations if i not in chosen]
        if own:  # the method's own demonstrations
            self.texts.add(e for i in own if (e := self.choices.pool.get(i)) is not None)
        return predict(example, shown, outcome, usage, self.metric, self.task)

    def _write(self, index: int, prediction: Prediction) -> None:
        label = self.planned.method.label
        try:
            self.writer.append(index, prediction)
        except (TypeError, ValueError) as error:  # what is no plain data, or holds itself
            query = self.choices.queries[index].id
            raise contracts.broke(
                "method",
                label,
                f"the details of an Outcome are plain data for JSON; query {query!r}: {error}",
            ) from error

    @property
    def _looks_back(self) -> bool:
        """Whether the method may change outcomes once it is told all of them; else they need not be kept."""
        return getattr(self.method.finish, "__func__", None) is not MethodDefaults.finish

    def _finish(self) -> None:
        if self._looks_back:
            self._look_back()
            self.tally = Tally.of(self.predictions, self.planned.shots)
            self.writer.finish(self._result(tuple(self.predictions)))
        else:
            self.writer.finish_appended(self._result(()), self.tally.usage)
        for held in (self.outcomes, self.predictions, self.paid):
            held.clear()

    def _look_back(self) -> None:
        told = [self.outcomes[i][0] for i in range(len(self.outcomes))]
        label = self.planned.method.label
        with contracts.calling("method", label, self.method, "finish"):
            final = self.method.finish(list(told))
        final = contracts.finished(label, final, told)
        for i, (before, after) in enumerate(zip(told, final, strict=True)):
            if after is not before:
                self.predictions[i] = self._predict(i, after, self.outcomes[i][1])

    @property
    def _notes(self) -> Mapping[str, Any]:
        found = notes(self.tally, self.choices.split)
        return {**found, "tuning": dict(self.tuned)} if self.tuned else found

    def _result(self, predictions: tuple[Prediction, ...]) -> CellResult:
        done = len(self.tally) > 0
        return CellResult(
            cell=self.planned.cell,
            predictions=predictions,
            selection_usage=self.cost.usage,
            selection_seconds=self.cost.seconds,
            metrics=judge(self.tally, self.task, self.metric_names) if done else {},
            complete=done,
            notes=self._notes if done else {},
        )


@dataclass(frozen=True, slots=True)
class Place:
    """One query of one cell."""

    cell: OpenCell
    index: int

    def __str__(self) -> str:
        cell = self.cell.planned.cell
        return f"{cell.setting}, seed {cell.seed}, query {self.cell.choices.queries[self.index].id!r}"
