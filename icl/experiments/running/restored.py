"""From what was kept of a tuning to an engine, in the process of the run or in a worker."""

from __future__ import annotations

import gc
import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icl.engine.loading.load import DTYPES, Opened, engine_on, open_network
from icl.errors import ConfigError, StorageError
from icl.experiments import contracts
from icl.experiments.asking.models import files_needed
from icl.experiments.file.axes import Component
from icl.experiments.file.config import Experiment
from icl.experiments.folder.tunings import Kept, Training, TuningFolder
from icl.experiments.grid.trainable import SAVED
from icl.protocols import LanguageModel, tuners
from icl.training import Network, Root, Tuned, VirtualTokens

TRAINED_IN = "float32"


def open_base(experiment: Experiment) -> Opened:
    """The network as it was before any tuning, in the precision of training. experiment: of one model."""
    name = experiment.choice.name  # of no backend, which has been refused
    return open_network(name, dtype=TRAINED_IN, context_length=experiment.context_length)


def asked_in(experiment: Experiment, opened: Opened) -> str:
    """The precision in which the experiment asks its model."""
    on_cpu = opened.network.device.type == "cpu"
    return experiment.dtype or ("float32" if on_cpu else "bfloat16")


def engine_for(
    experiment: Experiment,
    opened: Opened,
    network: Network,
    fingerprint: str,
    root: Root | None = None,
    memory: int | None = None,
) -> LanguageModel:
    """An engine with the experiment's settings on a network that was `opened` and perhaps changed."""
    return engine_on(
        network,
        opened.tokenizer,
        name=experiment.model_label,
        context_length=opened.context_length,
        fingerprint=fingerprint,
        root=root,
        max_memory=memory,
        batch_invariant=experiment.batch_invariant,
        engine=experiment.engine,
    )


@dataclass(frozen=True, slots=True)
class OpenTuned:
    """Opens a tuned model: a fresh network with the kept state in it."""

    experiment: Experiment
    """Of one model."""
    item: Component
    """The tuning, its paths as they are here."""
    words: str
    """The tuning for messages."""
    of: Training
    folder: Path
    """Of the run's tunings."""
    kept: Kept | None
    """What stands in the folder, for machines that do not see it; None: read there."""
    memory: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """See icl.executors.carrying.Needing."""
        return files_needed(self.experiment)

    def open(self) -> LanguageModel:
        """Raises IclError."""
        kept = self.kept or TuningFolder(self.folder).read(self.of)
        if kept is None:
            raise StorageError(f"tuning {self.words}: what was trained cannot be read in {self.folder}")
        return self.on(open_base(self.experiment), kept)

    def on(self, opened: Opened, kept: Kept) -> LanguageModel:
        """On a network that is fresh from its files."""
        if weights_of(opened.fingerprint) != self.of.base:
            raise ConfigError(f"tuning {self.words}: the model's files have changed since it was trained")
        saved = self.item.name == SAVED
        named = (kept.tuner, kept.parameters) if saved else (self.item.name, self.item.parameters)
        tuner = tuners.create(*named)
        with contracts.calling("tuner", self.of.tuning, tuner, "restore"):
            made = tuner.restore(kept.state, opened.network)
        precision = asked_in(self.experiment, opened)
        network, root = cast(contracts.tuned(self.of.tuning, made, "restore"), precision)
        fingerprint = fingerprint_of(self.of, kept, precision)
        return engine_for(self.experiment, opened, network, fingerprint, root, self.memory)


def weights_of(fingerprint: str) -> str:
    """A fingerprint without the precision that it ends in."""
    head, _, last = fingerprint.rpartition("-")
    return head if last in DTYPES else fingerprint


def cast(tuned: Tuned, precision: str) -> tuple[Network, Root | None]:
    """Network and root in the precision of asking."""
    import torch

    dtype = getattr(torch, precision)
    root: Any = tuned.root
    if isinstance(root, VirtualTokens):
        root = replace(root, embeddings=root.embeddings.to(dtype))
    elif root is not None:
        root = replace(
            root, keys=tuple(k.to(dtype) for k in root.keys), values=tuple(v.to(dtype) for v in root.values)
        )
    return tuned.network.to(dtype).eval(), root


def fingerprint_of(of: Training, kept: Kept, precision: str) -> str:
    """Of base, label and trained state: no two tunings have one, so their answers never mix."""
    own = hashlib.blake2b(f"{of.tuning}\n{kept.digest}".encode(), digest_size=8).hexdigest()
    return f"{of.base}-{own}-{precision}"


def let_go() -> None:
    """Networks that only hold themselves any more, in circles, are gone before the next one is opened."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
