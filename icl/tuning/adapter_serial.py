"""Serial adapters: small networks behind the sub-layers of a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from icl.components import check_choice
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.bottleneck import BottleneckTuner
from icl.tuning.shared.sublayers import Part

PLACEMENTS: dict[str, tuple[Part, ...]] = {"houlsby": ("attention", "mlp"), "pfeiffer": ("mlp",)}


@tuners.register("adapter_serial", paper="Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP")
@dataclass(kw_only=True)
class AdapterSerial(BottleneckTuner):
    """h <- h + U f(D h), h what a sub-layer gives, before the residual is added. Training starts at the base.

    placement: "houlsby", behind attention and feed-forward layer; "pfeiffer" (Pfeiffer et al. 2021), behind
    the feed-forward layer alone.
    """

    name = "adapter_serial"
    learning_rate: float | Sequence[float] = 1e-3
    placement: Literal["houlsby", "pfeiffer"] = "houlsby"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("placement", self.placement, tuple(PLACEMENTS))

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """Adapters behind the sub-layers."""
        return self.put(network, PLACEMENTS[self.placement], scale=1.0, parallel=False)
