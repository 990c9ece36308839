"""A few examples worth annotating, and the nearest of those for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_flag, check_number, needed
from icl.encoders.neighbours import NeighbourIndex
from icl.errors import ConfigError
from icl.labels import LABELLED, label_texts, longest, renderer_of
from icl.protocols import LanguageModel, Resources, selectors
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.votes import Votes, bucket_vote_k, fast_vote_k, neighbour_votes
from icl.types import Demonstration, Example, GenerateRequest, Query, ScoreRequest

Variant = Literal["fast", "full"]
VARIANTS: tuple[Variant, ...] = ("fast", "full")


@selectors.register(  # type: ignore[arg-type]  # `needs` is a property: it depends on the variant
    "vote_k", paper="Su et al. 2023, Selective Annotation Makes Language Models Better Few-Shot Learners"
)
class VoteK:
    """Selective annotation: `budget` examples of the pool, then kNN among those for each query.

    Every example votes for its `neighbours` nearest (cosine over inputs). The score of u is the
    sum over its voters v, not selected themselves, of 10 ** -(selected ones that v voted for);
    the best is selected, until there are enough. No label is looked at before it is selected.
    `variant`: "fast" selects the whole budget so. "full" selects `initial` examples so, asks the
    model for all the others with those as demonstrations, drops the share `drop` of which it is
    most confident (mean log-probability of its answer), cuts the rest into buckets of equal size
    by confidence and takes the best vote score of each.
    `update`: false leaves the scores of the second stage undiscounted for what that stage takes,
    as the authors' code does (string keys of a JSON file never match); true is the paper.
    Paper: budget 18 or 100, 150 neighbours, 10 initial, 0.1 dropped.

    Nearest first; the score is the cosine with the query. Unlike the common mistake of showing
    the selected set to every query, each query gets its own neighbours of it.
    """

    def __init__(
        self,
        *,
        budget: int = 100,
        neighbours: int = 150,
        variant: Variant = "fast",
        initial: int = 10,
        drop: float = 0.1,
        update: bool = True,
    ) -> None:
        check_number("budget", budget, low=1, whole=True)
        check_number("neighbours", neighbours, low=1, whole=True)
        check_choice("variant", variant, VARIANTS)
        check_number("initial", initial, low=1, whole=True)
        check_number("drop", drop, low=0, high=1)
        check_flag("update", update)
        self.budget = budget
        self.neighbours = neighbours
        self.variant = variant
        self.initial = initial
        self.drop = drop
        self.update = update

    @property
    def needs(self) -> frozenset[str]:
        """The full variant asks the model."""
        return frozenset({"encoder"} if self.variant == "fast" else {"encoder", "model", "renderer"})

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Chooses what is annotated. ConfigError without an encoder (full: a model, a renderer)."""
        if resources.encoder is None:
            raise ConfigError("selector 'vote_k' needs an encoder")
        if self.variant == "full" and resources.model is None:
            raise ConfigError("selector 'vote_k' with variant 'full' needs a model")
        self._encoder = resources.encoder
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        vectors = self._encoder.encode([example.text for example in pool])
        self._annotated: list[tuple[int, float]] = []
        self._confidence: dict[int, float] = {}
        if len(pool):
            votes = neighbour_votes(vectors, self.neighbours)
            full = self.variant == "full"
            self._annotated = fast_vote_k(votes, min(self.initial, self.budget) if full else self.budget)
            if full:
                self._annotated += self._second_stage(votes, vectors, resources)
        # Ties of the search among them go by pool order.
        self._annotated.sort()
        self._index = NeighbourIndex(vectors[[at for at, _ in self._annotated]])
        return self

    @property
    def annotated(self) -> tuple[Example, ...]:
        """What the budget is spent on, in pool order."""
        return tuple(self._candidates.pool[at] for at, _ in self._annotated)

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The k nearest among the annotated, nearest first. ConfigError when they are too few."""
        self._candidates.check(k)
        if k > len(self._annotated):
            raise ConfigError(
                f"{k} demonstrations asked for, but selector 'vote_k' has budget = {self.budget} "
                "annotated examples: raise its parameter budget"
            )
        if not queries or k == 0:
            return [() for _ in queries]
        vectors = self._encoder.encode([query.text for query in queries])
        found, similarities = self._index.search(vectors, len(self._annotated))
        selected = []
        for query, row, near in zip(queries, found.tolist(), similarities.tolist(), strict=True):
            ranking = [self._annotated[at][0] for at in row]
            forbidden = self._candidates.forbidden(query)
            left = sum(at not in forbidden for at in ranking)
            if left < k:
                raise ConfigError(
                    f"{k} demonstrations asked for, but query {query.id!r} leaves {left} of the "
                    f"{len(ranking)} annotated by selector 'vote_k': the others are the query itself or "
                    "duplicates of it; raise its parameter budget"
                )
            reasons = {self._annotated[at][0]: (near[i], self._annotated[at][1]) for i, at in enumerate(row)}
            taken = self._candidates.first(ranking, forbidden, k, query)
            selected.append(tuple(self._demonstration(at, reasons) for at in taken))
        return selected

    def _demonstration(self, position: int, reasons: Mapping[int, tuple[float, float]]) -> Demonstration:
        similarity, votes = reasons[position]
        why: dict[str, float | str] = {"similarity": similarity, "votes": votes}
        if position in self._confidence:
            why["confidence"] = self._confidence[position]
        return Demonstration(self._candidates.pool[position], similarity, why)

    def _second_stage(
        self, votes: Votes, vectors: NDArray[np.float32], resources: Resources
    ) -> list[tuple[int, float]]:
        initial = [at for at, _ in self._annotated]
        rest = [at for at in range(len(vectors)) if at not in set(initial)]
        if not rest or self.budget <= len(initial):
            return []
        pool = self._candidates.pool
        # For each, the initial ones by similarity, the most similar next to the query.
        shown, near = NeighbourIndex(vectors[initial]).search(vectors[rest], len(initial))
        demonstrations = [
            [
                Demonstration(pool[initial[at]], similarity)
                for at, similarity in zip(row[::-1], scores[::-1], strict=True)
            ]
            for row, scores in zip(shown.tolist(), near.tolist(), strict=True)
        ]
        found = confidences([pool[at].query for at in rest], demonstrations, resources)
        self._confidence = dict(zip(rest, found, strict=True))
        confidence = np.zeros(len(vectors))
        confidence[rest] = found
        return bucket_vote_k(votes, confidence, initial, self.budget, self.drop, self.update)


def confidences(
    queries: Sequence[Query], demonstrations: Sequence[Sequence[Demonstration]], resources: Resources
) -> list[float]:
    """Mean log-probability of a token of the model's own answer to each query, asked in bulk.

    Tasks with labels: of the likeliest label; others: of the greedy answer up to a line's end.
    """
    renderer = renderer_of(resources)
    model: LanguageModel | None = resources.model
    assert model is not None  # checked by fit
    pairs = list(zip(queries, demonstrations, strict=True))
    if resources.task.kind in LABELLED:
        requests = []
        for query, shown in pairs:
            _, answers = label_texts(query, resources)
            prompt = renderer.prompt(query, shown, reserve=longest(answers, resources))
            requests.append(ScoreRequest(prompt.text, answers))
        return [max(scores.mean_logprobs) for scores in model.score(requests)]
    most = resources.task.max_answer_tokens
    asked = [
        GenerateRequest(renderer.prompt(query, shown, reserve=most).text, max_tokens=most, stop=("\n",))
        for query, shown in pairs
    ]
    samples = [generation.samples[0] for generation in model.generate(asked)]
    return [needed(sum(s.logprobs) / max(len(s.logprobs), 1), "vote_k") for s in samples]
