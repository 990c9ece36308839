"""LoRA: low-rank updates beside frozen weights."""

from __future__ import annotations

from dataclasses import dataclass

from icl.components import check_flag
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.low_rank import LowRank
from icl.tuning.shared.peft_attached import PeftAttached


@tuners.register("lora", paper="Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models")
@dataclass(kw_only=True)
class Lora(LowRank):
    """y = W x + (alpha / rank) B A x; A is drawn, B zero: training starts at the base. Merged in the end.

    layers: "all" linear layers but the head, "attention" or "mlp" alone. dropout: of the update's input.
    stabilised: alpha / sqrt(rank) (rsLoRA). Published with 1/rank scaling and alpha fixed, the best learning
    rate hardly depends on the rank and is about ten times that of full tuning (Schulman et al. 2025).
    """

    name = "lora"
    stabilised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("stabilised", self.stabilised)

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's LoRA."""
        settings = self.peft_settings(network, use_rslora=self.stabilised)
        return PeftAttached(network, settings, self.name)
