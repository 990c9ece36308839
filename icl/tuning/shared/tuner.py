"""Base of the methods that adapt parameters: trained on the pool's own rows, the task's prompts without
demonstrations, loss on the answers alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from icl.components import parameters_of
from icl.errors import ConfigError
from icl.labels import LABELLED
from icl.protocols import ALL_KINDS, TuningResources
from icl.training import Network, TrainingRow, Tuned
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.forward import Layout
from icl.tuning.shared.objective import NegativeLogLikelihood
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.search import fit
from icl.tuning.shared.settings import TrainingSettings
from icl.tuning.shared.tokens import TokenRow, tokenised
from icl.tuning.shared.validation import Validation
from icl.types import Example

NO_NEEDS: frozenset[str] = frozenset()


@dataclass(kw_only=True)
class AdaptingTuner(TrainingSettings, ABC):
    """A method says how parameters are adapted (`attach`); the rest is here.

    Regimes (`metaicl`, `star`, ...) take such a method and train it on rows of their own.
    """

    kinds = ALL_KINDS
    needs = NO_NEEDS
    name = ""

    @abstractmethod
    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """Puts the adaptation into the network. resources: None where a trained state is about to be loaded,
        so that what is drawn or measured for a start may be left out. ConfigError where it does not fit."""

    def fit(self, pool: Sequence[Example], resources: TuningResources) -> Tuned:
        """See protocols.Tuner."""
        check_pool(self.name, pool, resources)
        kept, held = self.split(pool, resources)
        rows = task_rows(kept, resources.task, resources.renderer, self.end)
        work = RowWork(rows, self, resources, self.validation_of(held, resources))
        whole = None
        if self.refit and held:
            everything = task_rows(pool, resources.task, resources.renderer, self.end)
            whole = RowWork(everything, self, resources, None)
        return self.learn(work, whole, resources, {})

    def learn(
        self, work: RowWork, whole: RowWork | None, resources: TuningResources, notes: Mapping[str, Any]
    ) -> Tuned:
        """Trains on the rows of `work`."""
        return fit(
            lambda network: self.attach(network, resources),
            work,
            whole,
            NegativeLogLikelihood(self.loss),
            self,
            resources,
            {"tuner": self.name, "parameters": parameters_of(self)},
            {**work.notes, **notes},
        )

    def restore(self, state: Mapping[str, Tensor], network: Network) -> Tuned:
        """See protocols.Tuner."""
        attached = self.attach(network, None)
        attached.load(state)
        peft = attached.peft_config()
        done, root = attached.finish()
        config = {"tuner": self.name, "parameters": parameters_of(self), **({"peft": peft} if peft else {})}
        return Tuned(done, root, dict(state), config)

    def split(
        self, pool: Sequence[Example], resources: TuningResources
    ) -> tuple[list[Example], list[Example]]:
        """(to train on, to choose by): the latter drawn by the seed, label by label in turn, and empty where
        nothing is chosen. ConfigError where too little is left."""
        if not self.chooses:
            return list(pool), []
        if self.validation >= len(pool):
            raise ConfigError(
                f"tuner {self.name!r}: validation: {self.validation} of a pool of {len(pool)} leaves nothing "
                f"to train on; allowed: 1 to {len(pool) - 1}"
            )
        order = resources.generator("tuning validation").permutation(len(pool))
        by_label: dict[str, list[int]] = {}
        labelled = resources.task.kind in LABELLED and resources.task.kind != "multiple_choice"
        for at in order:
            by_label.setdefault(pool[at].target if labelled else "", []).append(int(at))
        held: list[int] = []
        queues = list(by_label.values())
        while len(held) < self.validation:
            held += [queue.pop() for queue in queues if queue][: self.validation - len(held)]
        chosen = set(held)
        return [e for at, e in enumerate(pool) if at not in chosen], [pool[at] for at in sorted(chosen)]

    @property
    def keeps(self) -> int:
        """Examples of the pool that are kept from training."""
        return self.validation if self.chooses else 0

    def validation_of(self, held: Sequence[Example], resources: TuningResources) -> Validation | None:
        """A look at the examples that were kept, if any."""
        if not held:
            return None
        rows = task_rows(held, resources.task, resources.renderer, self.end)
        limit = self.limit(resources)
        return Validation(held, rows, resources.task, resources.renderer, resources.tokenizer, limit)

    def limit(self, resources: TuningResources) -> int:
        """Tokens of the longest text that is trained on."""
        return min(self.max_tokens or resources.context_length, resources.context_length)


class RowWork:
    """Rows in epochs: each row once an epoch, in an order drawn for that epoch alone."""

    def __init__(
        self,
        rows: Sequence[TrainingRow],
        settings: AdaptingTuner,
        resources: TuningResources,
        validation: Validation | None,
    ) -> None:
        made = tokenised(rows, resources.tokenizer, settings.limit(resources))
        if not made.rows:
            raise ConfigError(
                f"tuner {settings.name!r}: no row of {len(rows)} can be trained on: {made.too_long} longer "
                f"than {settings.limit(resources)} tokens, {made.empty} without an answer"
            )
        self.rows = made.rows
        self.notes: dict[str, Any] = {"rows": len(made.rows), **made.notes}
        self._settings, self._resources, self._validation = settings, resources, validation
        self._orders: dict[int, list[int]] = {}

    @property
    def of(self) -> str:
        """See search.Work."""
        return f"{hash_of(self.rows)}"

    @property
    def sample(self) -> Sequence[TokenRow]:
        """The first few."""
        return self.rows[: min(4, self._settings.batch_size)]

    def batch(self, step: int, attached: Attached) -> Sequence[TokenRow]:
        """The next rows of the epochs, one after another."""
        size, count = self._settings.batch_size, len(self.rows)
        return [
            self.rows[self._order(at // count)[at % count]] for at in range(step * size, (step + 1) * size)
        ]

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            drawn = self._resources.generator("training order", str(epoch)).permutation(len(self.rows))
            self._orders[epoch] = [int(i) for i in drawn]
        return self._orders[epoch]

    @property
    def can_look(self) -> bool:
        """See search.Work."""
        return self._validation is not None

    def look(self, attached: Attached, layout: Layout) -> tuple[float, int]:
        """See search.Work."""
        assert self._validation is not None
        return self._validation(attached, layout, self._settings.rows_at_once)


def hash_of(rows: Sequence[TokenRow]) -> str:
    """A digest of what is trained on."""
    import hashlib

    total = hashlib.blake2b(digest_size=8)
    for row in rows:
        total.update(repr((row.ids, row.start, row.row.weight)).encode())
    return total.hexdigest()


def check_pool(name: str, pool: Sequence[Example], resources: TuningResources) -> None:
    """ConfigError for a pool that cannot teach the task."""
    if not pool:
        raise ConfigError(f"tuner {name!r}: task {resources.task.name!r} has no rows to train on")
    labels = resources.task.labels
    if labels and len(pool) < len(labels):
        raise ConfigError(
            f"tuner {name!r}: {len(pool)} examples for the {len(labels)} labels of {resources.task.name!r}; "
            f"allowed: a pool of at least {len(labels)}"
        )
