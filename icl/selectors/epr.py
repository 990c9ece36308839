"""A retriever that learns from the model which demonstrations help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_choice, check_number
from icl.encoders.neighbours import NeighbourIndex
from icl.encoders.words import words
from icl.errors import ConfigError
from icl.protocols import Encoder, Resources, selectors
from icl.selectors.shared.biencoder import (
    HeldOut,
    Lesson,
    Schedule,
    Towers,
    load_towers,
    train_towers,
    untrained_towers,
)
from icl.selectors.shared.exclusion import Candidates
from icl.selectors.shared.keeping import Lasted
from icl.selectors.shared.scoring import Scorer, Trial
from icl.types import Demonstration, Example, Query

Side = Literal["targets", "inputs", "random"]
SIDES: tuple[Side, ...] = ("targets", "inputs", "random")
Positive = Literal["sampled", "first"]
POSITIVES: tuple[Positive, ...] = ("sampled", "first")


@selectors.register(
    "epr", paper="Rubin et al. 2022, Learning To Retrieve Prompts for In-Context Learning (EPR)"
)
class EPR:
    """Nearest examples under a bi-encoder trained on what helped the model (EPR).

    For `items` training items of the pool (None: all, as the paper), `candidates` others are found
    by BM25 `candidates_by` "targets" (the paper: outputs against outputs), "inputs" or "random";
    the model says how probable the item's target is after each alone. The best `positives` are
    positives, as many of the worst are hard negatives, and a bi-encoder learns to tell them apart
    over `epochs`: each time one positive, one hard negative, and the others of the batch.
    `positive`: "sampled" from the positives (the paper, and CEIL's code) or the "first" always (the
    authors' code). `held_out` of the items (a share; 0: none) are not trained on: the epoch is kept
    whose cosines with their candidates correlate best with the scores, the start among them, and
    training ends `patience` epochs after it. `batch_size`, `clip` (of the gradient's norm) as in the
    paper; `learning_rate`: None means 1e-4 (the paper) for a transformer and 0.01 for a projection.
    `trained`: a folder that `save` wrote, used instead of training; the model is not asked then.

    The experiment's encoder is the start of both towers (paper: BERT-base, 256 tokens); where it is
    no sentence-transformers model, a linear projection of its vectors is trained. Cosine takes the
    place of the paper's inner product, so that each tower is an encoder like any other. Classes have
    few outputs: BM25 then ties, and ties are broken at random by the seed. Cost: items * candidates
    score requests, once.
    """

    needs: frozenset[str] = frozenset({"encoder", "model", "renderer"})
    example_parameters: ClassVar[dict[str, Any]] = {"items": 6, "candidates": 4, "positives": 2, "epochs": 2}

    def __init__(
        self,
        *,
        items: int | None = None,
        candidates: int = 50,
        candidates_by: Side = "targets",
        positives: int = 5,
        positive: Positive = "sampled",
        epochs: int = 30,
        patience: int = 10,
        held_out: float = 0.1,
        batch_size: int = 120,
        learning_rate: float | None = None,
        clip: float = 2.0,
        trained: str | None = None,
    ) -> None:
        if items is not None:
            check_number("items", items, low=2, whole=True)
        check_number("candidates", candidates, low=2, whole=True)
        check_choice("candidates_by", candidates_by, SIDES)
        check_number("positives", positives, low=1, whole=True)
        check_choice("positive", positive, POSITIVES)
        check_number("epochs", epochs, low=1, whole=True)
        check_number("patience", patience, low=1, whole=True)
        check_number("held_out", held_out, low=0, high=0.5)
        check_number("batch_size", batch_size, low=2, whole=True)
        if learning_rate is not None:
            check_number("learning_rate", learning_rate, low=0)
        check_number("clip", clip, low=0)
        if trained is not None and not isinstance(trained, str):
            raise ValueError(f"trained is {trained!r}; allowed: a folder")
        self.items = items
        self.candidates = candidates
        self.candidates_by = candidates_by
        self.positives = positives
        self.positive = positive
        self.epochs = epochs
        self.patience = patience
        self.held_out = held_out
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.clip = clip
        self.trained = trained

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Scores, trains (or loads) and indexes the pool. ConfigError for a pool of fewer than three."""
        if resources.encoder is None:
            raise ConfigError("selector 'epr' needs an encoder")
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._resources = resources
        self._taught: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self.lasted: Lasted | None = None
        if self.trained is not None:
            self.towers = load_towers(self.trained, resources.encoder)
        else:
            self.towers = self._learn(resources.encoder)
        vectors = self.towers.examples.encode([self._written(example) for example in pool])
        self._index = NeighbourIndex(vectors)
        return self

    def save(self, folder: Path | str) -> None:
        """Writes the trained towers to a folder that `trained` takes."""
        self.towers.save(folder)

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The k nearest a query, nearest first. ConfigError when the pool is too small."""
        self._candidates.check(k)
        if not queries or k == 0:
            return [() for _ in queries]
        forbidden = [self._candidates.forbidden(query) for query in queries]
        vectors = self.towers.queries.encode([query.text for query in queries])
        found, similarities = self._index.search(vectors, k + max(map(len, forbidden)))
        selected = []
        for row, query in enumerate(queries):
            near = dict(zip(found[row].tolist(), similarities[row].tolist(), strict=True))
            taken = self._candidates.first(near, forbidden[row], k, query)
            selected.append(tuple(self._demonstration(at, near[at]) for at in taken))
        return selected

    def _demonstration(self, position: int, similarity: float) -> Demonstration:
        why: dict[str, float | str] = {"similarity": similarity}
        if self.trained is None:
            why["times_positive"] = float(self._taught[0][position])
            why["times_negative"] = float(self._taught[1][position])
        if self.lasted is not None:
            why |= self.lasted.why
        return Demonstration(self._candidates.pool[position], similarity, why)

    def _learn(self, encoder: Encoder) -> Towers:
        pool, scorer = self._candidates.pool, Scorer("epr", self._resources, labels=False)
        if len(pool) < 3:
            raise ConfigError(f"selector 'epr' learns from 3 examples or more; the pool has {len(pool)}")
        drawn = self._resources.generator("selectors.epr.items").permutation(len(pool))[: self.items].tolist()
        lists = self._retrieve(drawn)
        # By candidate first: its demonstration is the prefix that the engine reads once.
        pairs = sorted((candidate, item) for item in drawn for candidate in lists[item])
        verdicts = scorer.verdicts([Trial((pool[candidate],), pool[item]) for candidate, item in pairs])
        score = {pair: verdict.logprob for pair, verdict in zip(pairs, verdicts, strict=True)}
        ranked = {}
        for item in drawn:
            best = sorted(lists[item], key=lambda at, item=item: (-score[at, item], at))  # type: ignore[misc]
            few = min(self.positives, len(best) // 2)
            if few:
                ranked[item] = (best[:few], best[-few:])
        if not ranked:
            raise ConfigError("selector 'epr': no item of the pool has two candidates beside its duplicates")
        if self._resources.rehearsal:  # neighbours by other vectors ask as much
            return untrained_towers(encoder)
        seed = int(self._resources.generator("selectors.epr.training").integers(2**31))
        schedule = Schedule(self.batch_size, self.learning_rate, self.clip, seed, self.patience)
        judged = self._hold_out(list(ranked))
        held = [
            HeldOut(
                pool[item].text,
                tuple(self._written(pool[at]) for at in lists[item]),
                tuple(score[at, item] for at in lists[item]),
            )
            for item in judged
        ]
        taught = {item: pair for item, pair in ranked.items() if item not in set(judged)}
        for good, bad in taught.values():
            self._taught[0].update(good)
            self._taught[1].update(bad)
        towers, self.lasted = train_towers(encoder, self._lessons(taught), schedule, held)
        return towers

    def _hold_out(self, items: Sequence[int]) -> list[int]:
        """The items that are judged by and not trained on: at least one, unless `held_out` is 0."""
        if self.held_out == 0 or len(items) < 2:
            return []
        count = max(1, round(self.held_out * len(items)))
        order = self._resources.generator("selectors.epr.held_out").permutation(len(items))
        return [items[at] for at in order[:count]]

    def _retrieve(self, items: Sequence[int]) -> dict[int, list[int]]:
        """For each item, positions of its candidates: best first, neither itself nor a duplicate."""
        pool, verbalise = self._candidates.pool, self._resources.task.verbalise
        sides = [words(e.text if self.candidates_by == "inputs" else verbalise(e.target)) for e in pool]
        index = None
        if self.candidates_by != "random" and any(sides):
            import bm25s

            index = bm25s.BM25(method="lucene")
            index.index(sides, show_progress=False)
        found = {}
        for item in items:
            forbidden = self._candidates.forbidden(pool[item].query)
            scores: NDArray[np.float32] = np.zeros(len(pool), np.float32)
            known = index.get_tokens_ids(sides[item]) if index is not None else []
            if index is not None and known:
                scores = np.asarray(index.get_scores_from_ids(known), np.float32)
            shuffled = self._resources.generator("selectors.epr.ties", pool[item].id).permutation(len(pool))
            best = shuffled[np.argsort(-scores[shuffled], kind="stable")]
            found[item] = [at for at in best.tolist() if at not in forbidden][: self.candidates]
        return found

    def _lessons(self, ranked: dict[int, tuple[list[int], list[int]]]) -> list[list[Lesson]]:
        """Every item once an epoch, in an order and with examples of that epoch."""
        pool, items, epochs = self._candidates.pool, list(ranked), []
        for epoch in range(self.epochs):
            stream = self._resources.generator("selectors.epr.lessons", str(epoch))
            lessons = []
            for at in stream.permutation(len(items)):
                good, bad = ranked[items[at]]
                positive = good[0] if self.positive == "first" else good[stream.integers(len(good))]
                negative = bad[stream.integers(len(bad))]
                texts = (pool[items[at]].text, self._written(pool[positive]), self._written(pool[negative]))
                lessons.append(Lesson(*texts))
            epochs.append(lessons)
        return epochs

    def _written(self, example: Example) -> str:
        """What the examples' tower reads: inputs and output."""
        return f"{example.text}\n{self._resources.task.verbalise(example.target)}"
