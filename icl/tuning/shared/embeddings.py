"""Virtual tokens as input embeddings: prompt tuning and P-tuning."""

from __future__ import annotations

from typing import Any

from torch import nn

from icl.training import Network, VirtualTokens
from icl.tuning.shared.rooted import Given, Rooted


def width_of(network: Network) -> int:
    """Size of an input embedding."""
    return int(network.get_input_embeddings().weight.shape[1])


def of_virtual_tokens(network: Network, config: Any, encoder: nn.Module | None) -> Rooted:
    """What is trained, or without an encoder what is asked with. config: peft's; sizes are filled in."""
    config.task_type = "CAUSAL_LM"
    config.token_dim = width_of(network)
    config.num_transformer_submodules = 1
    about = network.config.get_text_config()
    config.num_layers, config.num_attention_heads = about.num_hidden_layers, about.num_attention_heads
    length = config.num_virtual_tokens
    return Rooted(network, encoder or Given(length, config.token_dim), length, VirtualTokens, config)
