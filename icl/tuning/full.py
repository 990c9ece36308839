"""Full fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.tuner import AdaptingTuner


@tuners.register("full")
@dataclass(kw_only=True)
class Full(AdaptingTuner):
    """Every weight is trained (AdamW): the rival of all others; its learning rate decides."""

    name = "full"
    learning_rate: float | Sequence[float] = 1e-5

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """Nothing is added."""
        network.requires_grad_(True)
        return Attached(network)
