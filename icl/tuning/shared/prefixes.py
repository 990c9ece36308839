"""Keys and values before every text, in every layer: prefix tuning and P-tuning v2.

A prefix is a row a virtual token, [layer, key or value, head, head size] flattened, as peft has it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from icl.components import check_choice
from icl.errors import ConfigError
from icl.protocols import TuningResources
from icl.training import GivenKeysValues, Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.rooted import Given, Rooted, RootedTuner
from icl.tuning.shared.words import start_ids
from icl.types import TokenIds

INITS = ("text", "random")


@torch.no_grad()
def activations(network: Network, ids: TokenIds, method: str) -> Tensor:
    """[length, layers, 2, heads, head size]: the keys (rotated to positions 0, 1, ...) and values that the
    network itself has of these tokens. ConfigError where its layers do not keep them alike."""
    from transformers import DynamicCache

    cache = DynamicCache(config=network.config)
    try:
        network(input_ids=torch.tensor([ids], device=network.device), past_key_values=cache, use_cache=True)
        kept = [torch.stack((layer.keys[0], layer.values[0])) for layer in cache.layers]
        whole = torch.stack(kept).float()
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"tuner {method!r} does not fit {type(network).__name__}: its layers do not keep keys and values "
            "of one shape for every token"
        ) from error
    if whole.shape[3] != len(ids):
        raise ConfigError(
            f"tuner {method!r}: length is {len(ids)}, and layers of {type(network).__name__} see "
            f"{whole.shape[3] + 1} tokens back; allowed: 1 to {whole.shape[3]}"
        )
    return whole.permute(3, 0, 1, 2, 4).contiguous()


def as_keys_and_values(rows: Tensor, shape: Sequence[int]) -> GivenKeysValues:
    """rows [length, width] as layers find them. shape: of `activations`, whatever its length."""
    kept = rows.view(len(rows), *shape[1:]).permute(1, 2, 3, 0, 4)
    return GivenKeysValues(tuple(kept[:, 0]), tuple(kept[:, 1]))


@dataclass(kw_only=True)
class PrefixTuner(RootedTuner):
    """init: "text", what the network keeps of `text` (empty: the task's instruction and label words),
    repeated or cut to `length`: the base with these words before every text; "random", as peft draws it."""

    init: Literal["text", "random"] = "text"
    text: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("init", self.init, INITS)
        if not isinstance(self.text, str):
            raise ValueError(f"text is {self.text!r}; allowed: a text")

    def attach(self, network: Network, resources: TuningResources | None) -> Attached:
        """Rows, or what makes them."""
        import peft

        _, layers, _, heads, size = shape = activations(network, (0,), self.name).shape
        config = peft.PrefixTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.length,
            num_layers=layers,
            num_attention_heads=heads,
            token_dim=heads * size,
            num_transformer_submodules=1,
            prefix_projection=False,
            encoder_hidden_size=heads * size,
        )
        encoder: nn.Module = Given(self.length, layers * 2 * heads * size)
        if resources is not None:
            start = None
            if self.init == "text":
                ids = start_ids(self.text, self.length, resources, self.name)
                start = activations(network, ids, self.name).flatten(1)
            encoder = self.encoder(config, start)

        def as_root(rows: Tensor) -> GivenKeysValues:
            return as_keys_and_values(rows, shape)

        return Rooted(network, encoder, self.length, as_root, config)

    @abstractmethod
    def encoder(self, config: Any, start: Tensor | None) -> nn.Module:
        """What gives the rows [length, width] and is trained; at first it gives `start`, if there is one."""
