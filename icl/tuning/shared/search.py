"""Runs of one tuner: a run a learning rate, the best of them kept; all of it counted."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from icl.errors import ConfigError
from icl.protocols import TuningResources
from icl.seeding import stream_key
from icl.training import Network, TrainingCost, Tuned
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.checkpoint import Checkpoint
from icl.tuning.shared.forward import Layout, choose_layout, token_logprobs
from icl.tuning.shared.loop import Diverged, Trained, diverged, train
from icl.tuning.shared.objective import Objective
from icl.tuning.shared.settings import TrainingSettings
from icl.tuning.shared.tokens import TokenRow

log = logging.getLogger("icl")

DIVERGED = -float("inf")


class Work(Protocol):
    """What is trained on: a regime's side of a run."""

    def batch(self, step: int, attached: Attached) -> Sequence[TokenRow]:
        """The rows of a step; same step and weights, same rows."""
        ...

    @property
    def can_look(self) -> bool:
        """Whether anything is kept from training."""
        ...

    def look(self, attached: Attached, layout: Layout) -> tuple[float, int]:
        """How good the network is on what is kept from training, and the tokens that took."""
        ...

    @property
    def sample(self) -> Sequence[TokenRow]:
        """Some rows, by which the layout is chosen."""
        ...

    @property
    def of(self) -> str:
        """Says what data this is, so that no checkpoint of other data is gone on with."""
        ...


Attach = Callable[[Network], Attached]


@dataclass(slots=True)
class _Run:
    rate: float
    value: float
    state: dict[str, Tensor]
    trained: Trained


def fit(
    attach: Attach,
    work: Work,
    whole: Work | None,
    objective: Objective,
    settings: TrainingSettings,
    resources: TuningResources,
    config: Mapping[str, Any],
    notes: Mapping[str, Any],
) -> Tuned:
    """Trains a run a learning rate on `work` and keeps the best; with `whole`, that rate once more on it.

    A rate at which the loss is not finite is out of the race, and said. Raises ConfigError where nothing was
    attached that can be trained, Diverged where no rate is left.
    """
    trial = _Trial(attach, objective, settings, resources, json.dumps(config, sort_keys=True, default=str))
    runs = [trial.run(rate, work) for rate in settings.rates]
    good = [run for run in runs if run.value != DIVERGED]
    if not good:
        raise Diverged(trial.said)
    best = max(good, key=lambda run: run.value)  # the first of equals
    measured = trial.measured(best, work)
    if whole is not None:
        best = trial.run(best.rate, whole)
        if best.value == DIVERGED:
            raise Diverged(trial.said)
        runs.append(best)
    attached = trial.attached_with(best.state)
    state = attached.kept()
    own = attached.notes()
    peft = attached.peft_config()
    network, root = attached.finish()
    cost = sum((run.trained.cost for run in runs), trial.cost)
    for checkpoint in trial.written:
        checkpoint.clear()
    found = {
        "learning_rate": best.rate,
        "tried": {f"{r.rate:g}": None if r.value == DIVERGED else round(r.value, 6) for r in runs},
        "losses": [round(loss, 5) for loss in best.trained.losses],
        "best_step": best.trained.best_step or len(best.trained.losses),
        "layout": trial.layout,
        **({"extra_loss": [round(loss, 5) for loss in best.trained.extra]} if best.trained.extra else {}),
        **({"looks": best.trained.looks} if best.trained.looks else {}),
        **({"diverged": trial.said} if trial.said else {}),
        **own,
        **measured,
        **notes,
    }
    whole_config = {**config, **({"peft": peft} if peft else {})}
    return Tuned(network, root, state, whole_config, cost, found)


class _Trial:
    """Fresh networks with the adaptation in them."""

    def __init__(
        self, attach: Attach, objective: Objective, settings: TrainingSettings, resources: TuningResources,
        config: str,
    ) -> None:  # fmt: skip
        self._attach, self._objective = attach, objective
        self._settings, self._resources = settings, resources
        self._config = config
        self._measures = False
        self._first: Network | None = resources.network
        self._last: tuple[Attached, dict[str, Tensor]] | None = None
        self.layout: Layout = "trie"
        self.said = ""
        self.cost = TrainingCost()
        """Of what is no run."""
        self.written: list[Checkpoint] = []

    def _attached(self) -> Attached:
        network, self._first = self._first, None
        self._last = None
        if network is None:
            if self._resources.fresh is None:
                raise ConfigError(
                    "several learning rates need a fresh network each, and none can be made here"
                )
            network = self._resources.fresh()
        torch.manual_seed(stream_key(self._resources.seed, "tuning init") % 2**63)
        attached = self._attach(network)
        if not attached.parameters():
            raise ConfigError("nothing of the network is trained by this method")
        return attached

    def run(self, rate: float, work: Work) -> _Run:
        """One learning rate. A finished run that was kept on the disk is not trained again."""
        resources, settings = self._resources, self._settings
        attached = self._attached()
        attached.network.eval()  # new modules are not yet
        self._measures = attached.measures
        self.layout, why = choose_layout(attached.network, work.sample, attached.root())
        if why:
            log.info("batches are padded, nothing shared within them: %s", why)
        name = f"learning_rate={rate:g}" if len(settings.rates) > 1 else ""
        of = f"{self._config} {work.of} {rate} {resources.seed}"
        path = self._path(of)
        checkpoint = Checkpoint(path, of)
        self.written.append(checkpoint)

        look = partial(work.look, attached, self.layout) if settings.chooses and work.can_look else None
        try:
            trained = train(
                attached,
                lambda step: work.batch(step, attached),
                self._objective,
                settings,
                rate,
                seed=resources.seed,
                layout=self.layout,
                look=look,
                checkpoint=checkpoint,
                report=resources.report,
                run=name,
            )
            self._check_outputs(attached, work, rate, trained.cost)
        except Diverged as error:
            self.said = str(error)
            log.warning("%s", error)
            return _Run(rate, DIVERGED, {}, Trained(cost=error.cost))
        value = max((v for _, v in trained.looks), default=-trained.losses[-1])
        state = attached.state()
        self._last = (attached, state)
        return _Run(rate, value, state, trained)

    @torch.no_grad()
    def _check_outputs(self, attached: Attached, work: Work, rate: float, cost: TrainingCost) -> None:
        """Diverged where the last step left weights that say nothing: no loss has seen them."""
        found = token_logprobs(attached.network, work.sample, attached.root(), self.layout)
        if not all(bool(torch.isfinite(logprobs).all()) for logprobs in found):
            raise diverged("its answers are not finite after the last step", rate, cost)

    def measured(self, best: _Run, work: Work) -> dict[str, Any]:
        """What the method wants to know of the best weights; counted."""
        if not (self._measures and self._settings.chooses and work.can_look):
            return {}
        attached = self.attached_with(best.state)
        attached.network.eval()
        began = time.perf_counter()
        found, tokens = attached.measured(partial(work.look, attached, self.layout))
        self.cost += TrainingCost(tokens_validation=tokens, seconds=time.perf_counter() - began)
        self._last = (attached, best.state)
        return found

    def _path(self, of: str) -> Path | None:
        if self._resources.folder is None:
            return None
        return (
            self._resources.folder / f"{hashlib.blake2b(of.encode(), digest_size=6).hexdigest()}.safetensors"
        )

    def attached_with(self, state: Mapping[str, Tensor]) -> Attached:
        """The last run's if it is of this state, else a fresh one that takes it over."""
        if self._last is not None and self._last[1] is state:
            return self._last[0]
        attached = self._attached()
        attached.load(state)
        return attached
