"""Parallel adapters: small networks beside the sub-layers of a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from icl.components import check_choice, check_number
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.bottleneck import BottleneckTuner
from icl.tuning.shared.sublayers import Part

PLACEMENTS: dict[str, tuple[Part, ...]] = {
    "mlp": ("mlp",),
    "attention": ("attention",),
    "both": ("attention", "mlp"),
}


@tuners.register(
    "adapter_parallel",
    paper="He et al. 2022, Towards a Unified View of Parameter-Efficient Transfer Learning",
)
@dataclass(kw_only=True)
class AdapterParallel(BottleneckTuner):
    """h <- h + scale U f(D x), x the input and h the output of a sub-layer. Training starts at the base.

    placement: beside the feed-forward layer ("mlp", found best), the attention, or both.
    """

    name = "adapter_parallel"
    learning_rate: float | Sequence[float] = 1e-3
    placement: Literal["mlp", "attention", "both"] = "mlp"
    scale: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("placement", self.placement, tuple(PLACEMENTS))
        check_number("scale", self.scale)
        if not self.scale:
            raise ValueError("scale is 0; allowed: any other number")

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """Adapters beside the sub-layers."""
        return self.put(network, PLACEMENTS[self.placement], scale=self.scale, parallel=True)
