"""LoRA: low-rank updates beside frozen weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.components import check_choice, check_flag, check_number
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.peft_attached import PeftAttached, check_rank
from icl.tuning.shared.targets import LAYERS, Layers, targets
from icl.tuning.shared.tuner import AdaptingTuner


@tuners.register("lora", paper="Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models")
@dataclass(kw_only=True)
class Lora(AdaptingTuner):
    """y = W x + (alpha / rank) B A x; A is drawn, B zero: training starts at the base. Merged in the end.

    layers: "all" linear layers but the head, "attention" or "mlp" alone. dropout: of the update's input.
    stabilised: alpha / sqrt(rank) (rsLoRA). Published with 1/rank scaling and alpha fixed, the best learning
    rate hardly depends on the rank and is about ten times that of full tuning (Schulman et al. 2025).
    """

    name = "lora"
    learning_rate: float | Sequence[float] = 1e-4
    rank: int = 8
    alpha: int = 32
    layers: Layers = "all"
    dropout: float = 0.0
    stabilised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("rank", self.rank, low=1, whole=True)
        check_number("alpha", self.alpha, low=1, whole=True)
        check_number("dropout", self.dropout, low=0, high=0.99)
        check_choice("layers", self.layers, LAYERS)
        check_flag("stabilised", self.stabilised)

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's LoRA."""
        import peft

        check_rank(self.name, self.rank, network)
        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(network, self.layers, self.name),
            use_rslora=self.stabilised,
            task_type="CAUSAL_LM",
        )
        return PeftAttached(network, config, self.name)
