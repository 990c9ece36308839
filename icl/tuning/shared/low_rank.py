"""Base of the methods that train a product of two thin matrices beside each frozen weight."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from icl.components import check_choice, check_number
from icl.training import Network
from icl.tuning.shared.peft_attached import check_rank
from icl.tuning.shared.targets import LAYERS, Layers, targets
from icl.tuning.shared.tuner import AdaptingTuner


@dataclass(kw_only=True)
class LowRank(AdaptingTuner, ABC):
    """rank, alpha: the update is alpha / rank times the product. layers: "all" linear layers but the head,
    "attention" or "mlp" alone. dropout: of the update's input."""

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

    def peft_settings(self, network: Network, **more: Any) -> Any:
        """peft's LoraConfig for this network. ConfigError for a rank or layers that it does not have."""
        import peft

        check_rank(self.name, self.rank, network)
        return peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(network, self.layers, self.name),
            task_type="CAUSAL_LM",
            **more,
        )
