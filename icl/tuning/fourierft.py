"""FourierFT: a few entries of the spectrum of each weight's change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from icl.components import check_choice, check_number
from icl.errors import ConfigError
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.peft_attached import PeftAttached
from icl.tuning.shared.targets import LAYERS, targets
from icl.tuning.shared.tuner import AdaptingTuner

Init = Literal["zeros", "library"]
INITS = ("zeros", "library")
FourierLayers = Literal["query_value", "all", "attention", "mlp"]
QUERY_VALUE = ("q_proj", "v_proj", "query", "value", "q", "v", "wq", "wv")
TOGETHER = ("c_attn", "query_key_value", "qkv_proj", "wqkv", "qkv", "in_proj")
"""One matrix for queries, keys and values."""


@tuners.register(
    "fourierft",
    paper="Gao et al. 2024, Parameter-Efficient Fine-Tuning with Discrete Fourier Transform",
)
@dataclass(kw_only=True)
class FourierFt(AdaptingTuner):
    """W' = W + scaling Re(ifft2(F)); F is zero but for n_frequency entries, which are trained. Merged.

    Which entries: drawn by `entries`, a seed, the same in all matrices of one shape. layers: "query_value" as
    published (one matrix of queries, keys and values, as GPT-2's, is adapted whole), or as of lora. init:
    "zeros" starts at the base; "library" draws N(0, 1) as peft does of itself, far from it.
    """

    name = "fourierft"
    learning_rate: float | Sequence[float] = 3e-2
    n_frequency: int = 1000
    scaling: float = 150.0
    layers: FourierLayers = "query_value"
    init: Init = "zeros"
    entries: int = 777

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("n_frequency", self.n_frequency, low=1, whole=True)
        check_number("scaling", self.scaling, low=1e-6)
        check_number("entries", self.entries, low=0, high=2**63 - 1, whole=True)
        check_choice("layers", self.layers, ("query_value", *LAYERS))
        check_choice("init", self.init, INITS)

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's FourierFT."""
        import peft

        config = peft.FourierFTConfig(
            n_frequency=self.n_frequency,
            scaling=self.scaling,
            random_loc_seed=self.entries,
            target_modules=self._targets(network),
            init_weights=self.init == "zeros",
            task_type="CAUSAL_LM",
        )
        return _Attached(network, config, self.name)

    def _targets(self, network: Network) -> list[str]:
        if self.layers != "query_value":
            return targets(network, self.layers, self.name)
        attention = targets(network, "attention", self.name)
        last = {name: name.rpartition(".")[2].lower() for name in attention}
        found = [n for n in attention if last[n] in QUERY_VALUE] or [
            n for n in attention if last[n] in TOGETHER
        ]
        if not found:
            raise ConfigError(
                f"tuner {self.name!r}: no matrices of queries and values among "
                f"{', '.join(sorted(set(last.values())))} of {type(network).__name__}; say layers: attention"
            )
        return found


class _Attached(PeftAttached):
    def notes(self) -> dict[str, Any]:
        """Where it started."""
        return {"start": "base" if self.config.init_weights else "drawn, not the base model's outputs"}
