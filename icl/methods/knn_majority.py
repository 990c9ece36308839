"""The label that most demonstrations have: no model at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, Self

from icl.components import MethodDefaults, check_choice
from icl.errors import ConfigError
from icl.protocols import Resources, Solve, methods
from icl.types import Demonstration, Example, Outcome, Prompt, Query

Weights = Literal["uniform", "score"]
WEIGHTS: tuple[Weights, ...] = ("uniform", "score")


@methods.register(
    "knn_majority", paper="Cover and Hart 1967; as a baseline in Wu et al. 2023, Self-Adaptive ICL"
)
class KNNMajority(MethodDefaults):
    """The demonstrations' majority label, without asking the model: the baseline papers forget.

    With the selector knn it is the k-nearest-neighbour classifier, with bm25 its lexical cousin,
    and whatever an in-context method does not add to it, the retrieval alone has done.
    `weights`: "uniform", one vote each; "score", the selector's score each (negative ones and
    demonstrations without a score count 0; in [0, 1] for cosines). Ties go to the label with the
    highest-scored demonstration, then to the one that stands first in the task; they are flagged
    tied. Without demonstrations the answer is the pool's majority label.

    The order of the demonstrations makes no difference, and none is dropped: nothing has to fit
    into a context window. The prompt shown is the query alone.
    """

    kinds = frozenset({"classification", "boolean"})
    needs = frozenset()
    asks_model = False

    def __init__(self, *, weights: Weights = "uniform") -> None:
        check_choice("weights", weights, WEIGHTS)
        self.weights = weights

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Counts the pool's labels. ConfigError for a task without labels."""
        if not resources.task.labels:
            raise ConfigError(f"task {resources.task.name!r} has no labels for 'knn_majority' to vote on")
        self._prior = Counter(example.target for example in pool)
        return self

    def solve(self, query: Query, demonstrations: Sequence[Demonstration], resources: Resources) -> Solve:
        """No requests."""
        labels = resources.task.labels
        votes = dict.fromkeys(labels, 0.0)
        best = dict.fromkeys(labels, float("-inf"))
        for shown in demonstrations:
            label, score = shown.example.target, shown.score
            votes[label] += 1.0 if self.weights == "uniform" else max(score or 0.0, 0.0)
            best[label] = max(best[label], float("-inf") if score is None else score)
        # Rounded: the last bits of a sum depend on the order in prompt.
        votes = {label: round(vote, 9) for label, vote in votes.items()}
        if not demonstrations:
            votes = {label: float(self._prior[label]) for label in labels}
        answer = max(labels, key=lambda label: (votes[label], best[label]))
        total = sum(votes.values())
        shares = {label: vote / total if total else 0.0 for label, vote in votes.items()}
        tied = sum(vote == votes[answer] for vote in votes.values()) > 1
        return Outcome(
            answer,
            Prompt(query.text, tuple(d.example.id for d in demonstrations)),
            label_scores=shares,
            flags=("tied",) if tied else (),
            details={"votes": votes},
        )
        yield []  # a conversation in which nothing is asked
