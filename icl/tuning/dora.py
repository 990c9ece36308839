"""DoRA: low-rank updates of the direction of a weight, its magnitude trained apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.components import check_choice, check_number
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.peft_attached import PeftAttached, check_rank
from icl.tuning.shared.targets import LAYERS, Layers, targets
from icl.tuning.shared.tuner import AdaptingTuner


@tuners.register("dora", paper="Liu et al. 2024, DoRA: Weight-Decomposed Low-Rank Adaptation")
@dataclass(kw_only=True)
class Dora(AdaptingTuner):
    """W' = m (W + s B A) / |W + s B A|, s = alpha / rank; m is trained too and starts at |W|: at the base.

    One norm an output feature: a row of torch's [out, in] weights, a column of GPT-2's [in, out] ones. Going
    back the norm is a constant, as published. rank, alpha, layers, dropout: as of lora. Merged in the end.
    """

    name = "dora"
    learning_rate: float | Sequence[float] = 1e-4
    rank: int = 8
    alpha: int = 32
    layers: Layers = "all"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rank", self.rank, low=1, whole=True)
        check_number("alpha", self.alpha, low=1, whole=True)
        check_number("dropout", self.dropout, low=0, high=0.99)
        check_choice("layers", self.layers, LAYERS)

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's DoRA."""
        import peft

        check_rank(self.name, self.rank, network)
        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(network, self.layers, self.name),
            use_dora=True,
            task_type="CAUSAL_LM",
        )
        return PeftAttached(network, config, self.name)
