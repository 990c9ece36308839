"""A determinantal point process that learns from the model which sets of demonstrations help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from icl.components import check_number
from icl.errors import ConfigError
from icl.protocols import Resources, selectors
from icl.selectors.dpp import choose_sets
from icl.selectors.shared.biencoder import ProjectionEncoder
from icl.selectors.shared.keeping import Keeper, Lasted, agreement
from icl.selectors.shared.prefetch import Neighbours, Prefetch
from icl.selectors.shared.scoring import Scorer, Trial
from icl.types import Demonstration, Example, Query


@dataclass(frozen=True, slots=True)
class SetLessons:
    """What CEIL learns from: for each of t items, some sets of equal size and how well each did."""

    queries: NDArray[np.float32]
    """[t, d] unit vectors of the items."""
    members: NDArray[np.float32]
    """[t, s, c, d] unit vectors of the c members of each of s sets; frozen."""
    scores: NDArray[np.float64]
    """[t, s] log P(item's target | set, item's input)."""


@dataclass(frozen=True, slots=True)
class SetSchedule:
    """How a projection is trained; `trade` is the kernel's lambda."""

    trade: float
    margin: float
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    stream: np.random.Generator


@selectors.register("ceil", paper="Ye et al. 2023, Compositional Exemplars for In-context Learning (CEIL)")
class CEIL:
    """A DPP whose relevance is trained on sets that helped the model (CEIL).

    For `items` training items of the pool, `sets` sets of `set_size` of the `prefetch` nearest
    examples are tried on the model: the nearest ones, and random ones. The log-determinants of an
    item's sets, under the kernel of the selector dpp with its `lambda`, are scaled to [0, 1] and taught
    to stand in the order of what the model scored: a hinge on every pair, `margin` (None: 1 / `sets`,
    the paper's 0.02 with its 50 sets) times the difference of their ranks, over at most `epochs` with
    `patience` on held-out items (a tenth), by `batch_size` items and `learning_rate`; the best epoch is
    kept, the start among them. Only the query's side learns, the examples' vectors are
    frozen, as in CEIL. Selection is the dpp selector's greedy MAP, stopped by `epsilon`.

    Reduced by default, in brackets the paper: 100 items (all), 10 sets (50) of 4 (16), and a linear
    projection of the experiment's encoder at 0.01 in place of all weights of BERT at 1e-5. The
    paper starts from EPR: name an encoder that the selector epr saved. Cost: items * sets score
    requests, once.
    """

    needs: frozenset[str] = frozenset({"encoder", "model", "renderer"})
    example_parameters: ClassVar[dict[str, Any]] = {"items": 6, "sets": 3, "set_size": 2, "epochs": 2}

    def __init__(
        self,
        *,
        items: int = 100,
        sets: int = 10,
        set_size: int = 4,
        prefetch: int = 100,
        lambda_: float = 0.1,
        margin: float | None = None,
        epochs: int = 30,
        patience: int = 10,
        batch_size: int = 64,
        learning_rate: float = 0.01,
        epsilon: float = 1e-10,
    ) -> None:
        check_number("items", items, low=2, whole=True)
        check_number("sets", sets, low=2, whole=True)
        check_number("set_size", set_size, low=1, whole=True)
        check_number("prefetch", prefetch, low=1, whole=True)
        check_number("lambda", lambda_, low=1e-3)
        if margin is not None:
            check_number("margin", margin, low=0)
        check_number("epochs", epochs, low=1, whole=True)
        check_number("patience", patience, low=1, whole=True)
        check_number("batch_size", batch_size, low=1, whole=True)
        check_number("learning_rate", learning_rate, low=0)
        check_number("epsilon", epsilon, low=0)
        self.items = items
        self.sets = sets
        self.set_size = set_size
        self.prefetch = prefetch
        self.lambda_ = lambda_
        self.margin = margin
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.epsilon = epsilon

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Scores sets and trains. ConfigError without encoder, model or renderer, or where the pool
        or the prefetch cannot give sets of `set_size`."""
        scorer = Scorer("ceil", resources, labels=False)
        self._prefetch = Prefetch("ceil", pool, resources, self.prefetch, "flat", 8)
        if min(self.prefetch, len(pool) - 1) < self.set_size:
            raise ConfigError(
                f"selector 'ceil' learns from sets of {self.set_size} among the prefetch = {self.prefetch} "
                f"nearest; the pool has {len(pool)} examples"
            )
        stream = resources.generator("selectors.ceil.items")
        drawn = stream.permutation(len(pool))[: self.items].tolist()
        lessons = self._lessons([pool[at] for at in drawn], scorer, resources)
        schedule = SetSchedule(
            self.lambda_,
            1 / self.sets if self.margin is None else self.margin,
            0 if resources.rehearsal else self.epochs,
            self.patience,
            self.batch_size,
            self.learning_rate,
            resources.generator("selectors.ceil.training"),
        )
        matrix, self.lasted = train_projection(lessons, schedule)
        self.encoder = ProjectionEncoder(self._prefetch.queries, matrix)
        self._prefetch.queries = self.encoder
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """At most k a query, most similar (by the trained encoder) first. ConfigError as for dpp."""
        rows = choose_sets(self._prefetch, queries, k, self.lambda_, self.epsilon)
        return [tuple(replace(d, why={**d.why, **self.lasted.why}) for d in row) for row in rows]

    def _lessons(self, items: Sequence[Example], scorer: Scorer, resources: Resources) -> SetLessons:
        pool = self._prefetch.candidates.pool
        queries = [item.query for item in items]
        chosen = []
        for start, near in self._prefetch.batches(queries, self.set_size):
            for row in range(len(near.positions)):
                draw = resources.generator("selectors.ceil.sets", queries[start + row].id)
                chosen.append(self._sets(near, row, draw))
        # The most similar stands last, as in CEIL's prompts.
        trials = [
            Trial(tuple(pool[at] for at in some[::-1]), item)
            for item, sets in zip(items, chosen, strict=True)
            for some in sets
        ]
        verdicts = scorer.verdicts(trials)
        scores = np.array([verdict.logprob for verdict in verdicts]).reshape(len(items), self.sets)
        vectors = self._prefetch.queries.encode([query.text for query in queries])
        return SetLessons(vectors, self._prefetch.vectors[np.array(chosen)], scores)

    def _sets(self, near: Neighbours, row: int, draw: np.random.Generator) -> list[list[int]]:
        """Positions: the nearest first, then random sets, each most similar first."""
        count = int(near.allowed[row].sum())
        columns = [list(range(self.set_size))]
        columns += [
            sorted(draw.choice(count, self.set_size, replace=False).tolist()) for _ in range(self.sets - 1)
        ]
        return [[int(near.positions[row, column]) for column in some] for some in columns]


def train_projection(lessons: SetLessons, schedule: SetSchedule) -> tuple[NDArray[np.float32], Lasted]:
    """[d, d] applied to query vectors, from the identity, and how it went.

    The best of all epochs by `agreement` on a held-out tenth of the items, the identity among them.
    """
    import torch

    count, dimension = lessons.queries.shape
    queries = torch.from_numpy(lessons.queries)
    # Sets in the order of their scores: rank 0 is the best.
    order = np.argsort(-lessons.scores, axis=1, kind="stable")
    scores = torch.from_numpy(np.take_along_axis(lessons.scores, order, axis=1))
    members = torch.from_numpy(np.take_along_axis(lessons.members, order[:, :, None, None], axis=1))
    similarity = (members.double() @ members.double().transpose(2, 3) + 1) / 2
    # Copies of an example in a set would have no volume at all, hence no gradient either.
    diversity = torch.linalg.slogdet(similarity + 1e-6 * torch.eye(similarity.shape[-1]))[1]

    def volumes(matrix: Any, rows: Any) -> Any:
        asked = torch.nn.functional.normalize(queries[rows] @ matrix, dim=-1)
        cosine = torch.einsum("td,tscd->tsc", asked, members[rows])
        # 2 * log r; r's maximum over the prefetch is the same for all sets of an item and cancels.
        relevance = 2 * ((cosine + 1) / 2 / (2 * schedule.trade)).sum(dim=-1)
        return relevance.double() + diversity[rows]

    def measure() -> float:
        with torch.no_grad():
            return agreement(list(volumes(matrix, held_out).numpy()), list(scores[held_out].numpy()))

    shuffled = schedule.stream.permutation(count)
    held_out = torch.from_numpy(shuffled[: max(count // 10, 1)])
    rest = shuffled[max(count // 10, 1) :]
    matrix = torch.eye(dimension, requires_grad=True)
    optimiser = torch.optim.Adam([matrix], lr=schedule.learning_rate)
    keeper = Keeper(matrix.detach().clone(), measure(), schedule.patience)
    for _ in range(schedule.epochs):
        drawn = schedule.stream.permutation(rest)
        for start in range(0, len(drawn), schedule.batch_size):
            batch = torch.from_numpy(drawn[start : start + schedule.batch_size])
            loss = ranking_loss(volumes(matrix, batch), scores[batch], schedule.margin)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if not keeper.offer(matrix.detach().clone(), measure()):
            break
    return np.asarray(keeper.weights.numpy(), dtype=np.float32), keeper.lasted


def ranking_loss(volumes: Any, scores: Any, margin: float) -> Any:
    """Hinge of log-determinants [t, s] on the order of the model's scores [t, s], best set first.

    Each item's log-determinants are scaled to [0, 1] first, the ends taken as constants: `margin`
    times the gap of two ranks is then a share of the item's own range, whatever the kernel's
    lambda. Pairs of the same gap are averaged, gaps are added up (the authors' code). Equal
    scores teach nothing.
    """
    import torch

    low = volumes.detach().amin(dim=1, keepdim=True)
    range_of = (volumes.detach().amax(dim=1, keepdim=True) - low).clamp(min=1e-12)
    scaled = (volumes - low) / range_of
    total = torch.zeros((), dtype=volumes.dtype)
    for gap in range(1, scores.shape[1]):
        differs = scores[:, :-gap] > scores[:, gap:]
        short = (margin * gap - (scaled[:, :-gap] - scaled[:, gap:])).clamp(min=0)
        total = total + (short * differs).sum() / differs.sum().clamp(min=1)
    return total + 0 * volumes.sum()  # a gradient of zero where no pair differs
