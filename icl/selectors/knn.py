"""Demonstrations whose inputs mean about the same as the query's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from icl.components import check_choice, check_flag, check_number
from icl.encoders.neighbours import INDEX_KINDS, IndexKind, NeighbourIndex
from icl.errors import ConfigError, DataError
from icl.protocols import Encoder, Resources, selectors
from icl.selectors.shared.balance import check_balance, positions_by_label, take_turns
from icl.selectors.shared.exclusion import Candidates
from icl.types import Demonstration, Example, Query


@selectors.register("knn", paper="Liu et al. 2022, What Makes Good In-Context Examples for GPT-3? (KATE)")
class KNN:
    """The k pool examples nearest to the query by cosine over embeddings of the inputs (KATE).

    `index`: "flat" searches exactly; "hnsw" and "ivf" approximately, for pools of 10^5 and more
    (`probes`: clusters searched by "ivf").
    `label_balanced`: takes turns among the labels, each time the nearest not yet taken of every
    label, labels with a nearer example first; a label with fewer examples than its share of k is
    an error.
    Most similar first; which end of the prompt that is, is the orderer's to say. Ties go by pool
    order. The paper embeds with RoBERTa-large fine-tuned on NLI and STS-B; here the experiment's
    encoder does.
    """

    needs: frozenset[str] = frozenset({"encoder"})

    def __init__(self, *, index: IndexKind = "flat", label_balanced: bool = False, probes: int = 8) -> None:
        check_choice("index", index, INDEX_KINDS)
        check_flag("label_balanced", label_balanced)
        check_number("probes", probes, low=1, whole=True)
        self.index = index
        self.label_balanced = label_balanced
        self.probes = probes

    def fit(self, pool: Sequence[Example], resources: Resources) -> Self:
        """Embeds and indexes the pool. ConfigError without an encoder."""
        self._prepare(pool, resources)
        vectors = self._encoder.encode([example.text for example in pool])
        self._indices = [NeighbourIndex(vectors[group], self.index, self.probes) for group in self._groups]
        return self

    def select(self, queries: Sequence[Query], k: int) -> list[tuple[Demonstration, ...]]:
        """The k nearest a query, nearest first. ConfigError when the pool is too small, or a
        label's part of it to balance."""
        self._candidates.check(k)
        if self.label_balanced:
            check_balance("knn", self._candidates.pool, self._labels, k)
        if not queries or k == 0:
            return [() for _ in queries]
        forbidden = [self._candidates.forbidden(query) for query in queries]
        reach = k + max(map(len, forbidden))
        vectors = self._encoder.encode([query.text for query in queries])
        found = [index.search(vectors, reach) for index in self._indices]
        selected = []
        for row, query in enumerate(queries):
            similarity: dict[int, float] = {}
            rankings = []
            for group, (positions, similarities) in zip(self._groups, found, strict=True):
                near = [group[at] for at in positions[row]]
                similarity.update(zip(near, similarities[row].tolist(), strict=True))
                rankings.append([at for at in near if at not in forbidden[row]])
            # The label with the nearest example starts each turn.
            rankings.sort(key=lambda ranking: -similarity[ranking[0]] if ranking else 2.0)
            taken = self._candidates.first(take_turns(rankings), forbidden[row], k, query)
            taken.sort(key=lambda at: (-similarity[at], at))
            selected.append(tuple(self._demonstration(at, similarity[at]) for at in taken))
        return selected

    def save(self, path: Path | str) -> None:
        """Writes the fitted index to one .npz file, with what tells whether it still fits."""
        arrays = {
            f"{name}_{number}": array
            for number, index in enumerate(self._indices)
            for name, array in index.to_arrays().items()
        }
        with Path(path).open("wb") as file:
            np.savez(file, about=np.array(json.dumps(self._about())), **arrays)  # type: ignore[arg-type]

    def load(self, path: Path | str, pool: Sequence[Example], resources: Resources) -> Self:
        """As `fit`, from a file that `save` wrote.

        DataError when it cannot be read, ConfigError when it belongs to another pool, encoder or
        setting.
        """
        self._prepare(pool, resources)
        try:
            with np.load(path) as file:
                arrays = dict(file)
            about = json.loads(str(arrays.pop("about")))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path}: no index written by the knn selector: {error}") from error
        for key, expected in self._about().items():
            if about.get(key) != expected:
                raise ConfigError(f"{path}: the index has {key} {about.get(key)!r}; here it is {expected!r}")
        self._indices = []
        for number in range(len(self._groups)):
            names = [name for name in ("vectors", "index") if f"{name}_{number}" in arrays]
            parts = {name: arrays[f"{name}_{number}"] for name in names}
            self._indices.append(NeighbourIndex.from_arrays(parts, self.index, self.probes))
        return self

    def _prepare(self, pool: Sequence[Example], resources: Resources) -> None:
        if resources.encoder is None:
            raise ConfigError("selector 'knn' needs an encoder")
        self._encoder: Encoder = resources.encoder
        self._candidates = Candidates(pool, resources.duplicate_threshold)
        self._labels = resources.task.labels
        everything = [list(range(len(pool)))]
        self._groups = positions_by_label(pool, resources.task.labels) if self.label_balanced else everything

    def _about(self) -> dict[str, str | int | bool]:
        """What an index on disk must share with this selector."""
        rows = [[e.id, e.text, e.target] for e in self._candidates.pool]
        return {
            "pool": hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest(),
            "encoder": getattr(self._encoder, "fingerprint", self._encoder.name),
            "index": self.index,
            "label_balanced": self.label_balanced,
            "probes": self.probes,
        }

    def _demonstration(self, position: int, similarity: float) -> Demonstration:
        return Demonstration(self._candidates.pool[position], similarity, {"similarity": similarity})
