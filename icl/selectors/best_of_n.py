"""The best of several random sets: what a method that searches must beat at the same cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from icl.components import check_choice, check_flag, check_number
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import check_balance, positions_by_label, take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import (
    MEASURES,
    Measure,
    Scorer,
    Trial,
    carve,
    hand_out,
    measured_by,
    success,
)
from icl.types import Demonstration, Example, Query


@dataclass(frozen=True, slots=True)
class _Best:
    """The winning draw: every candidate, the set first."""

    ranking: tuple[int, ...]
    number: int
    value: float
    logprob: float
    mean: float


@selectors.register(
    "best_of_n",
    paper="the baseline 'Random & Validation' of Li and Qiu 2023, Finding Support Examples for "
    "In-Context Learning",
)
class BestOfN:
    """The best of n random sets of k on a validation split carved from the pool.

    `n`: random sets tried for each k, the same for all queries. `validation`: pool examples held
    out, asked about and never shown. `requests`: tries as many sets as this many model requests
    pay for (requests / validation) instead of `n`: the fair opponent of a method that searches.
    `measure`: "accuracy", "logprob" (mean log-probability of the right answer), or "auto":
    accuracy where the task has labels. Ties go to the higher log-probability, then to the set
    drawn first. `label_balanced`: sets take turns among the labels; one with fewer examples than its
    share of k is an error.

    The set stands in the order in which it was tried. A query that is in it, or near one of it,
    gets the next of the same draw instead. Cost: n * validation score requests for each k.
    """

    needs: frozenset[str] = frozenset({"model", "renderer"})
    example_parameters: ClassVar[dict[str, Any]] = {"n": 3, "validation": 4}

    def __init__(
        self,
        *,
        n: int = 10,
        validation: int = 100,
        requests: int | None = None,
        measure: Measure = "auto",
        label_balanced: bool = False,
    ) -> None:
        check_number("n", n, low=1, whole=True)
        check_number("validation", validation, low=1, whole=True)
        if requests is not None:
            check_number("requests", requests, low=1, whole=True)
        check_choice("measure", measure, MEASURES)
        check_flag("label_balanced", label_balanced)
        self.n = n
        self.validation = validation
        self.requests = requests
        self.measure = measure
        self.label_balanced = label_balanced

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Carves the validation split. ConfigError where the pool is too small for it."""
        self._measure = measured_by("best_of_n", self.measure, resources.task)
        self._scorer = Scorer("best_of_n", resources)
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._carved = carve("best_of_n", self._candidates, self.validation, resources)
        self._resources = resources
        self._best: dict[int, _Best] = {}
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The best set of k; the first call for a k asks the model. ConfigError for k above the pool,
        or for a label with too few examples to balance."""
        self._candidates.check(k)
        pool = self._candidates.pool
        if self.label_balanced:
            shown = [pool[at] for at in self._carved.shown]
            check_balance("best_of_n", shown, self._resources.task.labels, k)
        if not queries or k == 0:
            return [() for _ in queries]
        if k not in self._best:
            self._best[k] = self._search(k)
        best = self._best[k]
        why: dict[str, float | str] = {
            f"validation_{self._measure}": best.value,
            "validation_logprob": best.logprob,
            "mean_over_sets": best.mean,
            "set": float(best.number),
        }
        return hand_out(
            self._candidates, best.ranking, queries, k, lambda at: Demonstration(pool[at], None, why)
        )

    def _search(self, k: int) -> _Best:
        pool, held = self._candidates.pool, self._carved.held
        n = self.n if self.requests is None else max(1, self.requests // len(held))
        draws = [self._draw(number) for number in range(n)]
        sets = [tuple(pool[at] for at in draw[:k]) for draw in draws]
        verdicts = self._scorer.verdicts([Trial(chosen, pool[at]) for chosen in sets for at in held])
        rows = [verdicts[at : at + len(held)] for at in range(0, len(verdicts), len(held))]
        values = [success(row, self._measure) for row in rows]
        logprobs = [success(row, "logprob") for row in rows]
        best = max(range(n), key=lambda at: (values[at], logprobs[at], -at))
        return _Best(tuple(draws[best]), best, values[best], logprobs[best], sum(values) / n)

    def _draw(self, number: int) -> list[int]:
        """Every candidate in a random order; its first k are the set."""
        stream = self._resources.generator("selectors.best_of_n", str(number))
        shown = self._carved.shown
        drawn: list[int] = [shown[at] for at in stream.permutation(len(shown))]
        if not self.label_balanced:
            return drawn
        pool = self._candidates.pool
        groups = positions_by_label([pool[at] for at in drawn], self._resources.task.labels)
        order = stream.permutation(len(groups))
        return [drawn[at] for at in take_turns([groups[at] for at in order])]
