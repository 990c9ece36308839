"""Methods that leave the network alone and train what stands before every text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from icl.components import check_number
from icl.errors import ConfigError
from icl.protocols import TuningResources
from icl.training import Network, Root
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.tuner import AdaptingTuner

KEPT = "prompt_embeddings"
"""peft's name for the output of a prompt's encoder, one row a virtual token."""


class Given(nn.Module):
    """Rows that nothing makes: what is asked with. Called as peft's encoders are."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.prompt_embeddings = nn.Parameter(torch.zeros(length, width))

    def forward(self, indices: Tensor) -> Tensor:
        """The rows of `indices`."""
        return self.prompt_embeddings[indices]


class Rooted(Attached):
    """An encoder (peft's, or `Given`) whose output [length, width] stands before every text.

    as_root: the output as embeddings, or as keys and values. config: peft's configuration of the folder.
    """

    def __init__(
        self, network: Network, encoder: nn.Module, length: int, as_root: Callable[[Tensor], Root],
        config: Any,
    ) -> None:  # fmt: skip
        network.requires_grad_(False)
        super().__init__(network)
        self.encoder = encoder.to(network.device)
        self._length, self._as_root, self._config = length, as_root, config

    def parameters(self) -> dict[str, nn.Parameter]:
        """Those of the encoder."""
        return dict(self.encoder.named_parameters())

    def _rows(self) -> Tensor:
        found: Tensor = self.encoder(torch.arange(self._length, device=self.network.device))
        return found

    def root(self) -> Root:
        """See Attached."""
        return self._as_root(self._rows())

    @torch.no_grad()
    def kept(self) -> dict[str, Tensor]:
        """The encoder's output alone, as peft keeps it."""
        return {KEPT: self._rows().cpu().clone()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Attached. Of what was kept training goes on on the rows themselves."""
        if set(state) == {KEPT} and not isinstance(self.encoder, Given):
            width = self._rows().shape[1]
            self.encoder = Given(self._length, width).to(self.network.device)
        super().load(state)

    @torch.no_grad()
    def finish(self) -> tuple[Network, Root | None]:
        """The network as it was, and what stands before every text."""
        root = self._as_root(self._rows().clone())
        return self.network.requires_grad_(False).eval(), root

    def peft_config(self) -> dict[str, Any]:
        """As peft reads it, for asking."""
        self._config.base_model_name_or_path = getattr(self.network, "name_or_path", "") or None
        self._config.inference_mode = True
        plain: Mapping[str, Any] = self._config.to_dict()
        return {key: getattr(value, "value", value) for key, value in plain.items()}


@dataclass(kw_only=True)
class RootedTuner(AdaptingTuner):
    """length: virtual tokens. They take their part of the context."""

    length: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("length", self.length, low=1, whole=True)

    def limit(self, resources: TuningResources) -> int:
        """Tokens of the longest text beside them."""
        left = resources.context_length - self.length
        if left < 2:
            raise ConfigError(
                f"tuner {self.name!r}: length is {self.length}, which leaves nothing of the context of "
                f"{resources.context_length} tokens; allowed: 1 to {resources.context_length - 2}"
            )
        return min(self.max_tokens or left, left)
