"""What each example is worth, read from how random subsets that hold it do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_flag, check_number
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import positions_by_label, take_turns
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

Estimator = Literal["ridge", "difference"]
ESTIMATORS: tuple[Estimator, ...] = ("ridge", "difference")


@selectors.register(
    "influence",
    paper="Nguyen and Wong 2023, In-context Example Selection with Influences; "
    "Chang and Jia 2023, Data Curation Alone Can Stabilize In-context Learning (datamodels)",
)
class Influence:
    """The k examples with the highest estimated influence on validation success.

    `subsets` random sets of `subset_size` examples, drawn from `candidates` random ones of the pool
    so that every candidate stands in subsets * subset_size / candidates of them, are tried on
    `validation` held-out examples. `estimator`: "ridge" regresses their success on who is in them
    with the penalty `alpha` (a datamodel: the coefficients are the influences); "difference" is the
    mean success with the example less the mean without it (Nguyen and Wong).
    `measure`: "accuracy", "logprob", or "auto": accuracy where the task has labels.
    `label_balanced`: the best of every label in turn.

    The same ranking for all queries; one that is among the first k gets the next instead. Cost:
    subsets * validation score requests, once for all k.
    """

    needs: frozenset[str] = frozenset({"model", "renderer"})
    example_parameters: ClassVar[dict[str, Any]] = {"subsets": 8, "subset_size": 3, "validation": 3}

    def __init__(
        self,
        *,
        subsets: int = 200,
        subset_size: int = 4,
        candidates: int = 100,
        validation: int = 100,
        estimator: Estimator = "ridge",
        alpha: float = 1.0,
        measure: Measure = "auto",
        label_balanced: bool = False,
    ) -> None:
        check_number("subsets", subsets, low=2, whole=True)
        check_number("subset_size", subset_size, low=1, whole=True)
        check_number("candidates", candidates, low=1, whole=True)
        check_number("validation", validation, low=1, whole=True)
        check_choice("estimator", estimator, ESTIMATORS)
        check_number("alpha", alpha, low=0)
        check_choice("measure", measure, MEASURES)
        check_flag("label_balanced", label_balanced)
        self.subsets = subsets
        self.subset_size = subset_size
        self.candidates = candidates
        self.validation = validation
        self.estimator = estimator
        self.alpha = alpha
        self.measure = measure
        self.label_balanced = label_balanced

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Tries the subsets and ranks the candidates. ConfigError where the pool is too small."""
        measure = measured_by("influence", self.measure, resources.task)
        scorer = Scorer("influence", resources)
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        carved = carve("influence", self._candidates, self.validation, resources)
        stream = resources.generator("selectors.influence")
        order = [carved.shown[at] for at in stream.permutation(len(carved.shown))]
        tried, self._untried = order[: self.candidates], order[self.candidates :]
        sets = draw_subsets(len(tried), self.subsets, min(self.subset_size, len(tried)), stream)
        shown = [tuple(pool[tried[at]] for at in chosen) for chosen in sets]
        verdicts = scorer.verdicts([Trial(chosen, pool[at]) for chosen in shown for at in carved.held])
        held = len(carved.held)
        values = np.array([success(verdicts[n * held : (n + 1) * held], measure) for n in range(len(sets))])
        inside = np.zeros((len(sets), len(tried)))
        for row, chosen in enumerate(sets):
            inside[row, list(chosen)] = 1.0
        influence = estimate(inside, values, self.estimator, self.alpha)
        best = [tried[at] for at in np.argsort(-influence, kind="stable")]
        if self.label_balanced:
            groups = positions_by_label([pool[at] for at in best], resources.task.labels)
            best = [best[at] for at in take_turns(groups)]
        self._ranking = best
        self._why: dict[int, dict[str, float | str]] = {
            position: {
                "influence": float(influence[at]),
                "subsets_with": float(inside[:, at].sum()),
                f"mean_{measure}": float(values.mean()),
            }
            for at, position in enumerate(tried)
        }
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The k of most influence, best first. ConfigError for k above the pool."""
        self._candidates.check(k)

        def show(position: int) -> Demonstration:
            why = self._why.get(position, {})
            influence = why.get("influence")
            score = influence if isinstance(influence, float) else None
            return Demonstration(self._candidates.pool[position], score, why)

        # What was not tried comes last, so that a large k is served.
        return hand_out(self._candidates, [*self._ranking, *self._untried], queries, k, show)


def draw_subsets(size: int, subsets: int, each: int, stream: np.random.Generator) -> list[tuple[int, ...]]:
    """Subsets of range(size) of `each` members, in which every member stands about equally often.

    Cut from one random permutation after another; a member that the cut would repeat waits for
    the next subset.
    """
    queue: list[int] = []
    drawn = []
    for _ in range(subsets):
        chosen: list[int] = []
        while len(chosen) < each:
            if not any(at not in chosen for at in queue):
                queue += stream.permutation(size).tolist()
            following = next(at for at in queue if at not in chosen)
            queue.remove(following)
            chosen.append(following)
        drawn.append(tuple(chosen))
    return drawn


def estimate(
    inside: NDArray[np.float64], values: NDArray[np.float64], estimator: Estimator, alpha: float
) -> NDArray[np.float64]:
    """[candidates] influence, from [subsets, candidates] membership and [subsets] success.

    Ridge: both sides centred, so that the intercept is not penalised. Difference: 0 for a member
    that stands in all subsets or in none.
    """
    if estimator == "ridge":
        columns = inside - inside.mean(axis=0)
        gram = columns.T @ columns + alpha * np.eye(inside.shape[1])
        return np.asarray(np.linalg.pinv(gram) @ columns.T @ (values - values.mean()), dtype=np.float64)
    shown, apart = inside.sum(axis=0), (1 - inside).sum(axis=0)
    difference = inside.T @ values / np.maximum(shown, 1) - (1 - inside).T @ values / np.maximum(apart, 1)
    return np.where((shown > 0) & (apart > 0), difference, 0.0)
