"""P-tuning: virtual tokens out of a small recurrent network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.components import check_number
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.embeddings import of_virtual_tokens, width_of
from icl.tuning.shared.rooted import RootedTuner


@tuners.register("p_tuning", paper="Liu et al. 2021, GPT Understands, Too")
@dataclass(kw_only=True)
class PTuning(RootedTuner):
    """Embeddings through a recurrent network stand before every text.

    `length` of them go through a bidirectional LSTM of two layers and an MLP; only what comes out is kept for
    asking. Training does not start at the base: the first outputs are small.

    hidden: size of the LSTM a direction, 0 for half the network's embeddings (as the authors). Published
    prompts may stand anywhere in a template; here they stand before the text, as in peft.
    """

    name = "p_tuning"
    learning_rate: float | Sequence[float] = 1e-3
    hidden: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("hidden", self.hidden, low=0, whole=True)

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's encoder."""
        import peft

        config = peft.PromptEncoderConfig(
            num_virtual_tokens=self.length,
            token_dim=width_of(network),
            num_transformer_submodules=1,
            encoder_reparameterization_type="LSTM",
            encoder_hidden_size=self.hidden or max(width_of(network) // 2, 1),
        )
        encoder = None if resources is None else peft.PromptEncoder(config)  # type: ignore[no-untyped-call]
        return of_virtual_tokens(network, config, encoder)
