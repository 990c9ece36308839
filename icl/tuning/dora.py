"""DoRA: low-rank updates of the direction of a weight, its magnitude trained apart."""

from __future__ import annotations

from dataclasses import dataclass

from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.low_rank import LowRank
from icl.tuning.shared.peft_attached import PeftAttached


@tuners.register("dora", paper="Liu et al. 2024, DoRA: Weight-Decomposed Low-Rank Adaptation")
@dataclass(kw_only=True)
class Dora(LowRank):
    """W' = m (W + s B A) / |W + s B A|, s = alpha / rank; m is trained too and starts at |W|: at the base.

    One norm an output feature: a row of torch's [out, in] weights, a column of GPT-2's [in, out] ones. Going
    back the norm is a constant, as published. rank, alpha, layers, dropout: as of lora. Merged in the end.
    """

    name = "dora"

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's DoRA."""
        return PeftAttached(network, self.peft_settings(network, use_dora=True), self.name)
