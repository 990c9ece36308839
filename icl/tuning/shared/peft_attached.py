"""Adaptations that peft makes: put into the network in place, merged in the end where it merges."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from icl.errors import ConfigError, ModelError
from icl.training import Network, Root
from icl.tuning.shared.attached import Attached, check_state

LINEARS = "all-linear"
"""peft's word for every linear layer but the head."""


class PeftAttached(Attached):
    """peft's modules inside the network, which stays the object that is called.

    merges: whether the weights take them up in the end.
    """

    def __init__(self, network: Network, config: Any, method: str, *, merges: bool = True) -> None:
        import peft

        network.requires_grad_(False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.model: Any = peft.get_peft_model(network, config)
        except (ValueError, TypeError, AttributeError, RuntimeError, KeyError) as error:
            first = str(error).strip().splitlines()[0].rstrip(".")
            raise ConfigError(f"tuner {method!r} does not fit {type(network).__name__}: {first}") from error
        super().__init__(self.model.get_base_model())
        self.config = config
        self._merges = merges

    def parameters(self) -> dict[str, nn.Parameter]:
        """Of peft's modules, by their names in the whole."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def state(self) -> dict[str, Tensor]:
        """By the names that peft's adapter_model.safetensors has."""
        import peft

        held = peft.get_peft_model_state_dict(self.model, save_embedding_layers=False)
        return {name: tensor.detach().cpu().clone() for name, tensor in held.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Attached."""
        import peft

        check_state({name: t.shape for name, t in self.state().items()}, state)
        peft.set_peft_model_state_dict(self.model, dict(state))

    def finish(self) -> tuple[Network, Root | None]:
        """Merged in the precision of the network."""
        root = self.root()
        if self._merges:
            try:
                with torch.no_grad():
                    network = self.model.merge_and_unload(safe_merge=True)
            except ValueError as error:  # peft's word for weights that are not finite
                raise ModelError(f"the weights are not finite once merged: {error}") from error
        else:
            network = self.network
        network.requires_grad_(False)
        return network.eval(), root

    def peft_config(self) -> dict[str, Any] | None:
        """As peft writes it."""
        plain = self.config.to_dict()
        return {k: sorted(v) if isinstance(v, set) else getattr(v, "value", v) for k, v in plain.items()}


def sizes_of(network: Network) -> tuple[int, int]:
    """(smallest dimension of a linear layer, hidden size)."""
    dims = [min(m.weight.shape) for m in network.modules() if isinstance(m, nn.Linear)]
    hidden = int(network.config.get_text_config().hidden_size)
    return min(dims, default=hidden), hidden


def check_rank(method: str, rank: int, network: Network) -> None:
    """ConfigError for a rank that no matrix of the network has."""
    _, hidden = sizes_of(network)
    if rank > hidden:
        raise ConfigError(
            f"tuner {method!r}: rank is {rank}, above the dimensions of {type(network).__name__} "
            f"(hidden size {hidden}); allowed: 1 to {hidden}"
        )
