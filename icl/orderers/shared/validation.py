"""Accuracy of every candidate order on a validation split of the pool: what oracle and worst share.

This looks at gold labels of the pool to compare orders, which no few-shot method may: its results
are bounds that say how much there is to win by ordering.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from icl.components import check_choice, check_number
from icl.errors import ConfigError
from icl.labels import LABELLED, NORMALISE, Normalise, options
from icl.orderers.shared.label_scores import Ask, check_labelled, label_logprobs
from icl.orderers.shared.permutations import AmongOrders, Order, Wanted, candidate_orders
from icl.orderers.shared.sets import DemonstrationSet, distinct_sets
from icl.protocols import Resources
from icl.tasks.duplicates import DuplicateIndex
from icl.types import Demonstration, Example, Query

log = logging.getLogger(__name__)


class ValidationOrderer(AmongOrders):
    """Orders by what they are worth on validation. Subclasses give `name` and `best`."""

    name: str
    best: bool
    """True takes the order with the highest accuracy, False the one with the lowest."""
    uses_gold = True
    needs: frozenset[str] = frozenset({"model", "renderer", "pool"})
    kinds = LABELLED

    def __init__(
        self, *, validation: int = 100, permutations: Wanted = 24, normalise: Normalise = "sum"
    ) -> None:
        check_number("validation", validation, low=1, whole=True)
        super().__init__(permutations)
        check_choice("normalise", normalise, NORMALISE)
        self.validation = validation
        self.normalise = normalise

    def order(
        self,
        demonstrations: Sequence[Sequence[Demonstration]],
        queries: Sequence[Query],
        resources: Resources,
    ) -> list[Order]:
        """One permutation a query, the same for all that share a set. Sets `reasons`: accuracy of the
        order on validation, the candidates' lowest, mean and highest.

        ConfigError without a pool, for a task without labels, or where nothing of the pool is left.
        """
        check_labelled(resources.task, self.name)
        self._warned = False
        if not resources.pool:
            raise ConfigError(f"orderer {self.name!r} validates on the pool: Resources.pool is missing")
        orders: list[Order] = [tuple(range(len(chosen))) for chosen in demonstrations]
        self.reasons: list[Mapping[str, Any]] = [{} for _ in queries]
        sets = distinct_sets(demonstrations)
        tries = [self._candidates(one, resources) for one in sets]
        held_out = [self._held_out(one, resources) for one in sets]
        asks: list[Ask] = [
            (item.query, one.arranged(order))
            for one, tried, items in zip(sets, tries, held_out, strict=True)
            for order in tried
            for item in items
        ]
        scored = iter(label_logprobs(asks, resources, self.normalise))
        for one, tried, items in zip(sets, tries, held_out, strict=True):
            values = [_judge(items, [next(scored) for _ in items], resources) for _ in tried]
            sign = -1 if self.best else 1
            # Rounded, so that a batch's last bits cannot turn two candidates around.
            best = min(
                range(len(tried)),
                key=lambda at: (sign * values[at][0], sign * round(values[at][1], 9), at),
            )
            accuracies = [accuracy for accuracy, _ in values]
            for query, canonical in one.members:
                orders[query] = tuple(canonical[at] for at in tried[best])
                self.reasons[query] = {
                    "uses_gold": True,
                    "validation_accuracy": accuracies[best],
                    "lowest": min(accuracies),
                    "mean": float(np.mean(accuracies)),
                    "highest": max(accuracies),
                    "permutations": len(tried),
                    "validation": len(items),
                }
        return orders

    def _candidates(self, one: DemonstrationSet, resources: Resources) -> list[Order]:
        # One purpose for both bounds: they are the ends of the same sample of orders.
        return candidate_orders(
            len(one.demonstrations),
            self.permutations,
            lambda: resources.generator("orderers.validation.permutations", one.name),
        )

    def _held_out(self, one: DemonstrationSet, resources: Resources) -> list[Example]:
        """The first of a shuffle of the pool that are neither in the set nor duplicates of one in it."""
        shown = DuplicateIndex([d.example for d in one.demonstrations], resources.duplicate_threshold)
        items: list[Example] = []
        for at in resources.generator("orderers.validation.split").permutation(len(resources.pool)):
            if len(items) == self.validation:
                break
            if not shown.matches(resources.pool[at]):
                items.append(resources.pool[at])
        if not items:
            raise ConfigError(
                f"orderer {self.name!r}: the pool of {len(resources.pool)} leaves nothing to validate on "
                f"beside the {len(one.demonstrations)} demonstrations, where validation asks for "
                f"{self.validation}: ask for a larger pool or fewer shots"
            )
        if len(items) < self.validation and not self._warned:
            self._warned = True
            log.warning(
                "orderer %r: validation is %d, but the pool of %d leaves %d examples beside the "
                "demonstrations; it validates on those. Set validation to less, or ask for a larger pool",
                self.name, self.validation, len(resources.pool), len(items),
            )  # fmt: skip
        return items


def _judge(items: Sequence[Example], logprobs: Sequence[Any], resources: Resources) -> tuple[float, float]:
    """(accuracy, mean log-probability of the gold label) of one order; the second breaks ties."""
    right, gold_logprobs = 0, []
    for item, row in zip(items, logprobs, strict=True):
        gold = options(resources.task, item.query).index(item.target)
        right += int(np.argmax(row) == gold)
        gold_logprobs.append(float(row[gold]))
    return right / len(items), float(np.mean(gold_logprobs))
