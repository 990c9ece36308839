"""Demonstrations and fitted methods of one (task, seed), each worked out once for all its cells."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from icl.experiments import contracts
from icl.experiments.asking.metered import Cost, MeteredModel
from icl.experiments.file.axes import Component
from icl.experiments.grid.cells import ZERO_SHOT, PlannedCell
from icl.protocols import Method, Resources, Selector, methods, orderers, selectors
from icl.tasks import Split
from icl.types import Demonstration, Query

T = TypeVar("T")
Demonstrations = Sequence[Sequence[Demonstration]]
"""One sequence a query of the test set."""
Ordered = tuple[Demonstrations, Sequence[Mapping[str, Any]]]
"""Demonstrations in prompt order, and why: one mapping a query, or none at all."""


class Choices:
    """What cells share: a selector is fitted once, asked once a number of shots, ordered once an
    orderer; a method is fitted once. Every cell is told the whole cost of what it uses, as if it
    were alone."""

    def __init__(self, split: Split, resources: Resources, meter: MeteredModel) -> None:
        self.split = split
        self.resources = replace(resources, pool=split.pool)
        self.queries: tuple[Query, ...] = tuple(example.query for example in split.test)
        self.pool = {example.id: example for example in split.pool}
        self._meter = meter
        self._known: dict[Hashable, tuple[Any, Cost]] = {}

    def demonstrations(self, cell: PlannedCell) -> tuple[Demonstrations, Cost]:
        """For each query its demonstrations in prompt order, with what choosing them cost."""
        if cell.selector.name == ZERO_SHOT.name:
            return [()] * len(self.queries), Cost()
        (ordered, _), cost = self._ordered(cell)
        return ordered, cost

    def reasons(self, cell: PlannedCell) -> Sequence[Mapping[str, Any]]:
        """For each query the orderer's own quantities; empty where it tells none."""
        if cell.selector.name == ZERO_SHOT.name:
            return ()
        (_, reasons), _ = self._ordered(cell)
        return reasons

    def method(self, item: Component) -> tuple[Method, Cost]:
        """The fitted method and what fitting it cost."""

        def fit() -> tuple[Method, Cost]:
            method = methods.create(item.name, item.parameters)
            with self._meter.count() as cost, contracts.calling("method", item.label, method, "fit"):
                made = method.fit(self.split.pool, self.resources)
            return contracts.fitted("method", item.label, made), cost

        return self._once(("method", item.label), fit)

    def _selector(self, item: Component) -> tuple[Selector, Cost]:
        def fit() -> tuple[Selector, Cost]:
            selector = selectors.create(item.name, item.parameters)
            with self._meter.count() as cost, contracts.calling("selector", item.label, selector, "fit"):
                made = selector.fit(self.split.pool, self.resources)
            return contracts.fitted("selector", item.label, made), cost

        return self._once(("selector", item.label), fit)

    def _select(self, item: Component, shots: int) -> tuple[Demonstrations, Cost]:
        def select() -> tuple[Demonstrations, Cost]:
            selector, fitting = self._selector(item)
            with self._meter.count() as cost, contracts.calling("selector", item.label, selector, "select"):
                chosen = selector.select(self.queries, shots)
            contracts.selected(item.label, chosen, self.queries, shots)
            return chosen, fitting + cost

        return self._once(("select", item.label, shots), select)

    def _ordered(self, cell: PlannedCell) -> tuple[Ordered, Cost]:
        key = ("order", cell.selector.label, cell.shots, cell.orderer.label)
        return self._once(key, lambda: self._order(cell))

    def _order(self, cell: PlannedCell) -> tuple[Ordered, Cost]:
        chosen, selecting = self._select(cell.selector, cell.shots)
        orderer = orderers.create(cell.orderer.name, cell.orderer.parameters)
        label = cell.orderer.label
        with self._meter.count() as cost, contracts.calling("orderer", label, orderer, "order"):
            orders = orderer.order(chosen, self.queries, self.resources)
        orders = contracts.permutations(label, orders, self.queries, chosen)
        reasons = contracts.reasons(label, getattr(orderer, "reasons", ()), self.queries)
        ordered = [tuple(some[i] for i in order) for some, order in zip(chosen, orders, strict=True)]
        return (ordered, reasons), selecting + cost

    def _once(self, key: Hashable, make: Callable[[], tuple[T, Cost]]) -> tuple[T, Cost]:
        if key not in self._known:
            self._known[key] = make()
        value: tuple[T, Cost] = self._known[key]
        return value
