"""Regimes in rounds: what a round has sampled and trained is kept, so that a killed run goes on after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from icl.protocols import TuningResources
from icl.training import TrainingCost, Tuned
from icl.tuning.shared.asking import fresh_network
from icl.tuning.shared.checkpoint import Checkpoint
from icl.tuning.shared.regime import Regime
from icl.types import Example


class Rounds:
    """The finished parts of one run, in the folder of its checkpoints.

    of: digest of the data; with the regime's parameters and the seed it says what run this is.
    """

    def __init__(self, regime: Regime, resources: TuningResources, of: str) -> None:
        self._regime, self._resources = regime, resources
        settings = json.dumps(regime.config, sort_keys=True, default=str)
        self._of = f"{settings} {of} {resources.seed}"
        self._written: list[Checkpoint] = []

    def data(self, name: str, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Plain data, made once."""
        kept = self._part(name)
        held = kept.read()
        if held is not None:
            return held[1]
        made = make()
        kept.write({}, made)
        return made

    def trained(self, name: str, make: Callable[[], Tuned]) -> Tuned:
        """What a round trained, made once; later restored from its state."""
        kept = self._part(name)
        held = kept.read()
        if held is None:
            made = make()
            kept.write(made.state, {"cost": made.cost.plain, "notes": dict(made.notes)})
            return made
        state, plain = held
        again = self._regime.restore(state, fresh_network(self._resources))
        return replace(again, cost=TrainingCost(**plain["cost"]), notes=plain["notes"])

    def clear(self) -> None:
        """The run is complete."""
        for kept in self._written:
            kept.clear()

    def _part(self, name: str) -> Checkpoint:
        of = f"{name} {self._of}"
        folder = self._resources.folder
        digest = hashlib.blake2b(of.encode(), digest_size=6).hexdigest()
        kept = Checkpoint(None if folder is None else folder / f"{digest}.safetensors", of)
        self._written.append(kept)
        return kept


def digest_of(examples: Sequence[Example]) -> str:
    """Of examples, in their order."""
    total = hashlib.blake2b(digest_size=8)
    for e in examples:
        shown = (e.id, sorted(e.inputs.items()), sorted(e.choices.items()), e.target, e.rationale)
        total.update(repr(shown).encode())
    return total.hexdigest()
