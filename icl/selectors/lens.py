"""Examples that inform the model about the others, found by filtering and searched for diversity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_flag, check_number
from icl.errors import ConfigError
from icl.labels import LABELLED
from icl.protocols import Resources, selectors
from icl.selectors.shared.balance import positions_by_label, take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.scoring import (
    MEASURES,
    Measure,
    Scorer,
    Trial,
    Verdict,
    carve,
    hand_out,
    measured_by,
    success,
)
from icl.selectors.shared.support import (
    SCALES,
    Composer,
    Filtered,
    Rows,
    Scale,
    Worth,
    cosines,
    substitution_scores,
)
from icl.types import Demonstration, Example, Query

__all__ = ["LENS", "Filtered", "substitution_scores"]


@dataclass(frozen=True, slots=True)
class _Found:
    """A set and its validation result."""

    rows: Rows
    value: float
    logprob: float


@selectors.register("lens", paper="Li and Qiu 2023, Finding Support Examples for In-Context Learning (LENS)")
class LENS:
    """A set of informative and diverse examples: progressive filtering, then beam search (LENS).

    InfoScore(e) sums P(y' | e, x') - P(y' | x') over a score set. Filtering: the score set begins
    with `score_set` examples and grows by the factor `rho` each round, while the best 1 / rho of the
    candidates stay, until `keep` are left. Search: `beam` random sets; `iterations` times each set
    gives `substitutions` (one member replaced by another of the same label, drawn by softmax from the
    `top` best under InfoScore - lambda * sum of cosines of the contributions to the other members)
    and `shuffles` of its order, and the best `beam` on `validation` held-out examples go on.
    `lambda` and `scale`: "paper" takes InfoScores and cosines as they are and lambda 1. "code" (the
    authors' scripts: lambda 4) takes z-scores of both and the mean over the set, contributions as the
    fall of the right label's share in the losses of all labels (where there are labels), and begins
    with sets that are good by these scores instead of random ones.
    `measure`: of a set on validation: "accuracy", "logprob", or "auto", accuracy where there are
    labels. `label_balanced`: the score set, what filtering keeps and the first sets take turns among
    the labels.

    One set, in an order, for all queries and each k; a query in it gets the next best of what was
    kept. Cost: n * score_set score requests for filtering n candidates, about
    (rho - 1) / rho of that for each round after the first, then for each k at most
    iterations * beam * (substitutions + shuffles) * validation; equal sets are asked once.
    """

    needs: frozenset[str] = frozenset({"model", "renderer"})
    example_parameters: ClassVar[dict[str, Any]] = {
        "score_set": 2,
        "keep": 12,
        "beam": 2,
        "iterations": 1,
        "substitutions": 1,
        "shuffles": 1,
        "validation": 3,
    }

    def __init__(
        self,
        *,
        score_set: int = 15,
        rho: float = 2.0,
        keep: int = 500,
        beam: int = 8,
        iterations: int = 10,
        substitutions: int = 6,
        shuffles: int = 2,
        top: int = 4,
        lambda_: float = 1.0,
        scale: Scale = "paper",
        validation: int = 100,
        measure: Measure = "auto",
        label_balanced: bool = True,
    ) -> None:
        check_number("score_set", score_set, low=1, whole=True)
        check_number("rho", rho, low=1.01)
        check_number("keep", keep, low=1, whole=True)
        check_number("beam", beam, low=1, whole=True)
        check_number("iterations", iterations, low=0, whole=True)
        check_number("substitutions", substitutions, low=0, whole=True)
        check_number("shuffles", shuffles, low=0, whole=True)
        check_number("top", top, low=1, whole=True)
        check_number("lambda", lambda_, low=0)
        check_choice("scale", scale, SCALES)
        check_number("validation", validation, low=1, whole=True)
        check_choice("measure", measure, MEASURES)
        check_flag("label_balanced", label_balanced)
        self.score_set = score_set
        self.rho = rho
        self.keep = keep
        self.beam = beam
        self.iterations = iterations
        self.substitutions = substitutions
        self.shuffles = shuffles
        self.top = top
        self.lambda_ = lambda_
        self.scale = scale
        self.validation = validation
        self.measure = measure
        self.label_balanced = label_balanced

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Carves the validation split and filters the rest. ConfigError where the pool is too small."""
        self._measure = measured_by("lens", self.measure, resources.task)
        self._scorer = Scorer("lens", resources)
        self._gold_scorer = Scorer("lens", resources, labels=False)
        self._resources = resources
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        carved = carve("lens", self._candidates, self.validation, resources, balanced=self._by_label)
        self._held = carved.held
        if len(carved.shown) < 2:
            raise ConfigError(
                f"selector 'lens' filters 2 candidates or more, but of the pool of {len(pool)} the "
                f"{self.validation} held out leave fewer: set validation to less, or ask for a larger pool"
            )
        self.filtered = self._filter(list(carved.shown))
        self._found: dict[int, tuple[_Found, tuple[int, ...]]] = {}
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The set of k; the first call for a k searches. ConfigError for k above the pool."""
        self._candidates.check(k)
        if not queries or k == 0:
            return [() for _ in queries]
        if k not in self._found:
            best = self._search(min(k, len(self.filtered.positions)))
            rest = [row for row in range(len(self.filtered.positions)) if row not in best.rows]
            self._found[k] = best, (*best.rows, *rest)
        best, rows = self._found[k]
        row_of = {self.filtered.positions[row]: row for row in rows}
        info, cosine = self.filtered.info, cosines(self.filtered.features)

        def show(position: int) -> Demonstration:
            row = row_of[position]
            others = [other for other in best.rows if other != row]
            why: dict[str, float | str] = {
                "info_score": float(info[row]),
                "cosine_to_set": float(cosine[row, others].mean()) if others else 0.0,
                f"validation_{self._measure}": best.value,
                "validation_logprob": best.logprob,
            }
            return Demonstration(self._candidates.pool[position], None, why)

        return hand_out(self._candidates, list(row_of), queries, k, show)

    @property
    def _by_label(self) -> bool:
        return self.label_balanced and self._resources.task.kind in LABELLED

    def _turns(self, positions: Sequence[int]) -> list[int]:
        """The same positions, labels taking turns where that is asked for, else as they stand."""
        if not self._by_label:
            return list(positions)
        pool = self._candidates.pool
        groups = positions_by_label([pool[at] for at in positions], self._resources.task.labels)
        return [positions[at] for at in take_turns(groups)]

    def _filter(self, survivors: list[int]) -> Filtered:
        """Algorithm 1 of the paper: more of the score set for fewer candidates each round."""
        stream = self._resources.generator("selectors.lens.score_set")
        queue = self._turns([survivors[at] for at in stream.permutation(len(survivors))])
        columns = {at: np.zeros(0) for at in survivors}
        size, scored, rounds = float(self.score_set), 0, 0
        while True:
            new = queue[scored : math.ceil(size)]
            for at, row in zip(survivors, self._contributions(survivors, new), strict=True):
                columns[at] = np.concatenate([columns[at], row])
            scored += len(new)
            rounds += 1
            ranked = sorted(survivors, key=lambda at: (-float(columns[at].sum()), at))
            if len(ranked) <= self.keep:
                break
            left = max(self.keep, math.ceil(len(ranked) / self.rho))
            stay = set(self._turns(ranked)[:left])
            survivors = [at for at in survivors if at in stay]
            size *= self.rho
        return Filtered(tuple(ranked), np.stack([columns[at] for at in ranked]), rounds)

    def _contributions(self, shown: Sequence[int], asked: Sequence[int]) -> NDArray[np.float64]:
        """[shown, asked] P(y' | e, x') - P(y' | x'); 0 where e is e' or a duplicate of it.

        By the code: what e takes from the share of y' in the losses of all labels.
        """
        pool = self._candidates.pool
        barred = {at: self._candidates.forbidden(pool[at].query) for at in asked}
        prior = dict(zip(asked, self._successes([Trial((), pool[at]) for at in asked]), strict=True))
        pairs = [(e, other) for e in shown for other in asked if e not in barred[other]]
        after = self._successes([Trial((pool[e],), pool[other]) for e, other in pairs])
        gain = {pair: value - prior[pair[1]] for pair, value in zip(pairs, after, strict=True)}
        return np.array([[gain.get((e, other), 0.0) for other in asked] for e in shown]).reshape(
            len(shown), len(asked)
        )

    def _successes(self, trials: Sequence[Trial]) -> list[float]:
        """P(right answer), or by the code, where there are labels, less its share in their losses."""
        if self.scale == "code" and self._resources.task.kind in LABELLED:
            return [-_loss_share(verdict) for verdict in self._scorer.verdicts(trials)]
        return [math.exp(verdict.logprob) for verdict in self._gold_scorer.verdicts(trials)]

    def _search(self, k: int) -> _Found:
        """Diversity-guided beam search over ordered sets of k rows of `filtered`."""
        stream = self._resources.generator("selectors.lens.search", str(k))
        positions, pool = self.filtered.positions, self._candidates.pool
        row_of = {position: row for row, position in enumerate(positions)}

        def draw() -> Rows:
            drawn = [positions[at] for at in stream.permutation(len(positions))]
            return tuple(row_of[at] for at in self._turns(drawn)[:k])

        labels = {pool[at].target: number for number, at in enumerate(positions)}
        labelled = self._resources.task.kind in LABELLED
        kinds = [labels[pool[at].target] if labelled else 0 for at in positions]
        worth = Worth(self.filtered, self.lambda_, self.scale)
        composer = Composer(worth, kinds, draw, stream, self.top)
        first = composer.optimised(self.beam) if self.scale == "code" else [draw() for _ in range(self.beam)]
        known: dict[Rows, _Found] = {}
        beam = self._evaluate(first, known)
        for _ in range(self.iterations):
            proposals = [found.rows for found in beam]
            for found in beam:
                proposals += [composer.substitute(found.rows) for _ in range(self.substitutions)]
                proposals += [composer.shuffle(found.rows) for _ in range(self.shuffles)]
            beam = self._evaluate(proposals, known)
        return beam[0]

    def _evaluate(self, proposals: Sequence[Rows], known: dict[Rows, _Found]) -> list[_Found]:
        """The best of the proposals on validation, `beam` at most; new ones are asked in one bulk."""
        pool, positions = self._candidates.pool, self.filtered.positions
        unique = list(dict.fromkeys(proposals))
        new = [rows for rows in unique if rows not in known]
        sets = [tuple(pool[positions[row]] for row in rows) for rows in new]
        verdicts = self._scorer.verdicts([Trial(chosen, pool[at]) for chosen in sets for at in self._held])
        for number, rows in enumerate(new):
            part = verdicts[number * len(self._held) : (number + 1) * len(self._held)]
            known[rows] = _Found(rows, success(part, self._measure), success(part, "logprob"))
        ranked = sorted((known[rows] for rows in unique), key=lambda f: (-f.value, -f.logprob))
        return ranked[: self.beam]


def _loss_share(verdict: Verdict) -> float:
    """-log P(right label) over the sum of -log P of all labels; 0 where nothing is lost at all."""
    total = sum(verdict.label_logprobs)
    return verdict.logprob / total if total else 0.0
