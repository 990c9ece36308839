"""Adapters: small networks of two layers beside or behind the sub-layers of a decoder.

Each works on one position at a time, so a text's tokens may be forwarded in any grouping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from icl.components import check_choice, check_number
from icl.training import Network
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.sublayers import Part, SubLayer, sublayers
from icl.tuning.shared.tuner import AdaptingTuner

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
Activation = Literal["relu", "gelu", "silu"]


class Bottleneck(nn.Module):
    """scale * (U f(D x + b) + c), of a sub-layer's output (serial) or input (parallel), added to its output.

    D is Kaiming-uniform, U and both offsets are zero: the first forward is the base's, bit for bit.
    """

    def __init__(
        self, hidden: int, size: int, activation: Activation, scale: float, *, parallel: bool, like: Tensor
    ) -> None:
        super().__init__()
        self.down = nn.Linear(hidden, size)
        self.up = nn.Linear(size, hidden)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self.activation, self.scale, self.parallel = activation, scale, parallel
        self._input: Tensor | None = None
        self.to(like)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] -> [..., hidden]."""
        made: Tensor = self.up(ACTIVATIONS[self.activation](self.down(x)))
        return made if self.scale == 1 else self.scale * made

    def hook(self, sub: SubLayer) -> None:
        """Puts it into a block, as a module of it. Methods of its own are the hooks: a copy of the network
        has hooks of its own adapters."""
        sub.block.add_module(f"adapter_{sub.part}", self)
        if self.parallel:
            sub.first.register_forward_pre_hook(self._see, with_kwargs=True)
        sub.last.register_forward_hook(self._add)

    def _see(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._input = args[0] if args else kwargs["hidden_states"]

    def _add(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        whole = isinstance(output, tuple)
        out: Tensor = output[0] if whole else output
        seen, self._input = (self._input if self.parallel else out), None
        assert seen is not None
        out = out + self(seen.reshape(out.shape))
        return (out, *output[1:]) if whole else out


@dataclass(kw_only=True)
class BottleneckTuner(AdaptingTuner):
    """size: of the bottleneck. activation: f."""

    size: int = 64
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("size", self.size, low=1, whole=True)
        check_choice("activation", self.activation, tuple(ACTIVATIONS))

    def put(self, network: Network, parts: Sequence[Part], *, scale: float, parallel: bool) -> Attached:
        """An adapter a block and part; all else is frozen. ConfigError where a part is not found."""
        network.requires_grad_(False)
        hidden = int(network.config.get_text_config().hidden_size)
        like = next(p for p in network.parameters() if p.is_floating_point())
        for sub in [sub for part in parts for sub in sublayers(network, part, self.name)]:
            Bottleneck(
                hidden, self.size, self.activation, scale, parallel=parallel, like=torch.empty(0).to(like)
            ).hook(sub)
        return Attached(network)
