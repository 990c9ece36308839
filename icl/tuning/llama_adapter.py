"""LLaMA-Adapter: prompts with a gate in the attention of the top layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icl.components import check_number
from icl.errors import ConfigError
from icl.protocols import TuningResources, tuners
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.peft_attached import PeftAttached
from icl.tuning.shared.tuner import AdaptingTuner

FAMILIES = ("llama", "mistral")


@tuners.register(
    "llama_adapter",
    paper="Zhang et al. 2024, LLaMA-Adapter: Efficient Fine-tuning of Large Language Models with "
    "Zero-initialized Attention",
)
@dataclass(kw_only=True)
class LlamaAdapter(AdaptingTuner):
    """Each of the top layers adds an attention of its own over prompts of its own.

    `layers` (0: all but two, at least one) have `length` prompts each, and add
    gate * softmax(q K_p') V_p, a softmax of their own, to its attention; the gate, one number a layer, starts
    at zero: training starts at the base. Nothing is merged.
    """

    name = "llama_adapter"
    learning_rate: float | Sequence[float] = 1e-2
    length: int = 10
    layers: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("length", self.length, low=1, whole=True)
        check_number("layers", self.layers, low=0, whole=True)

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """peft's adaption prompts."""
        import peft

        config = network.config.get_text_config()
        if config.model_type not in FAMILIES:
            raise ConfigError(
                f"tuner {self.name!r} does not fit {type(network).__name__}: it is made for the "
                f"attention of a Llama, not of {config.model_type}; allowed: {', '.join(FAMILIES)}"
            )
        heads, size = config.num_attention_heads, getattr(config, "head_dim", None)
        if size and heads * size != config.hidden_size:
            raise ConfigError(
                f"tuner {self.name!r} does not fit {type(network).__name__}: its {heads} heads of {size} "
                f"do not make up the hidden size ({config.hidden_size}), as peft expects"
            )
        count = int(config.num_hidden_layers)
        if self.layers > count:
            raise ConfigError(
                f"tuner {self.name!r}: layers is {self.layers}, and {type(network).__name__} has {count}; "
                f"allowed: 0 to {count}"
            )
        adapted = peft.AdaptionPromptConfig(
            adapter_len=self.length,
            adapter_layers=self.layers or max(count - 2, 1),
            target_modules="self_attn",
            task_type="CAUSAL_LM",
        )
        return PeftAttached(network, adapted, self.name, merges=False)
