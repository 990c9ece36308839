"""Components that are not icl's own, tried before a model loads and held against their contracts.

They do all their work once, for two queries and with the fake model; metrics, icl's too, judge a few gold
targets. (`trial` has icl's own components handle the first test item.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from icl.conversation import ask
from icl.encoders.hashed import HashEncoder
from icl.engine.fake import FakeModel
from icl.errors import Collector, IclError
from icl.experiments import contracts
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment, Source
from icl.prompts import PromptRenderer
from icl.protocols import Method, Resources, methods, metrics, orderers, selectors
from icl.tasks import Split
from icl.types import Demonstration, Task

TRIED = 2
"""Queries that a component from outside is tried on, and gold targets a metric judges."""
ROUNDS = 30
"""Of a conversation with the fake model; a longer one is broken off."""
PROGRAMMING = (TypeError, AttributeError, NameError, NotImplementedError)
"""Errors that no better model and no larger pool would mend; others may be the fake model's doing."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One task of an experiment with its first split."""

    experiment: Experiment
    source: Source
    task: Task
    place: int
    """Of the task in the file."""
    split: Split
    built: Mapping[str, Sequence[object]]
    """Axis -> its components; None for one that cannot be built."""
    problems: Collector

    def run(self) -> None:
        """Raises ConfigError with the place of the component in the file, or collects it."""
        self._try(("task", self.place), partial(self._metric, self.task.metric))
        if self.experiment.leaderboard.metric is not None:
            wanted = self.experiment.leaderboard.metric
            self._try(("leaderboard", "metric"), partial(self._metric, wanted))
        grid = self.experiment.grid
        for axis, items, attempt in (
            ("selector", grid.selector, self._selector),
            ("orderer", grid.orderer, self._orderer),
            ("method", grid.method, self._method),
        ):
            for index, item in enumerate(items):
                if self.built[axis][index] is not None:
                    self._try(("grid", axis, index), partial(attempt, item))

    def _try(self, path: tuple[str | int, ...], attempt: Callable[[], None]) -> None:
        with self.problems.one():
            try:
                attempt()
            except contracts.ComponentFailed as error:
                if isinstance(error.__cause__, PROGRAMMING):
                    raise self.source.error(path, str(error)) from error
            except IclError as error:
                raise self.source.error(path, str(error)) from error

    def _resources(self) -> Resources:
        model = FakeModel()
        renderer = PromptRenderer(
            task=self.task, tokenizer=model.tokenizer, context_length=model.context_length
        )
        return Resources(
            self.task,
            self.experiment.seeds[0],
            model,
            HashEncoder(),
            renderer,
            self.experiment.duplicate_threshold,
            pool=self.split.pool,
            rehearsal=True,
        )

    @property
    def _shots(self) -> int:
        return min((n for n in self.experiment.grid.shots if n), default=0)

    def _shown(self) -> list[Demonstration]:
        return [Demonstration(e) for e in self.split.pool[: self._shots]]

    def _metric(self, name: str) -> None:
        metric = metrics.create(name)
        golds = [example.target for example in self.split.test[:TRIED]]
        for gold in golds:
            for answer in (None, gold):
                contracts.score(name, metric, answer, gold, self.task)
        contracts.aggregate(name, metric, golds, golds, self.task)

    def _selector(self, item: Component) -> None:
        selector = selectors.create(item.name, item.parameters)
        if not _is_outside(selector) or not self._shots:
            return
        queries = [example.query for example in self.split.test[:TRIED]]
        with contracts.calling("selector", item.label, selector, "fit"):
            made = selector.fit(self.split.pool, self._resources())
        fitted = contracts.fitted("selector", item.label, made)
        with contracts.calling("selector", item.label, selector, "select"):
            chosen = fitted.select(queries, self._shots)
        contracts.selected(item.label, chosen, queries, self._shots)

    def _orderer(self, item: Component) -> None:
        orderer = orderers.create(item.name, item.parameters)
        if not _is_outside(orderer) or not self._shots:
            return
        queries = [example.query for example in self.split.test[:TRIED]]
        chosen = [self._shown()] * len(queries)
        with contracts.calling("orderer", item.label, orderer, "order"):
            orders = orderer.order(chosen, queries, self._resources())
        contracts.permutations(item.label, orders, queries, chosen)
        contracts.reasons(item.label, getattr(orderer, "reasons", ()), queries)

    def _method(self, item: Component) -> None:
        method = methods.create(item.name, item.parameters)
        if not _is_outside(method):
            return
        resources = self._resources()
        with contracts.calling("method", item.label, method, "fit"):
            made = method.fit(self.split.pool, resources)
        fitted: Method = contracts.fitted("method", item.label, made)
        query = self.split.test[0].query
        with contracts.calling("method", item.label, method, "solve"):
            solve = fitted.solve(query, self._shown(), resources)
        talk = contracts.conversation(item.label, fitted, solve, f"query {query.id!r}")
        assert resources.model is not None
        try:
            asked = next(talk)
            for _ in range(ROUNDS):
                asked = talk.send(ask(asked, resources.model))
        except StopIteration as end:
            with contracts.calling("method", item.label, fitted, "finish"):
                final = fitted.finish([end.value])
            contracts.finished(item.label, final, [end.value])
        finally:
            talk.close()


def _is_outside(component: object) -> bool:
    return not contracts.is_own(component)
