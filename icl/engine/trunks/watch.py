"""Has a network changed since an engine was made of it?

What an engine keeps - packed weights, keys and values of finished texts - is of the network as it was. A step
of training, an adapter that is merged, switched or put in, a hook: each changes it in place. Looked at before
every call: addresses and versions of all parameters, some of their values (`.data` is written to without a
new version), and which modules there are; the same of the tensors of a root. A write by `.data` to a few
single weights can escape it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

SAMPLED = 16
"""Values of each parameter that are compared, evenly spaced."""


class Watch:
    """The state of a network, and of the tensors `beside` it, when it was last looked at."""

    def __init__(self, network: Any, beside: Sequence[Tensor] = ()) -> None:
        self.network = network
        self.beside = beside
        self._look()

    def _look(self) -> None:
        self._places = self._now_places()
        self._views = [_some(p) for p in self._tensors() if p.is_contiguous()]
        self._values = self._now_values()

    def _tensors(self) -> list[Tensor]:
        return [*self.network.parameters(), *self.beside]

    def changed(self) -> bool:
        """Since the last look; each change is told once."""
        if self._now_places() == self._places and torch.equal(self._now_values(), self._values):
            return False
        self._look()
        return True

    def _now_places(self) -> tuple[Any, ...]:
        modules = tuple(
            (
                id(m),
                *m._forward_hooks,
                *m._forward_pre_hooks,
                _adapter(m),
            )  # each hook's key is a number of its own
            for m in self.network.modules()
        )
        weights = tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in self._tensors())
        return modules, weights

    def _now_values(self) -> Tensor:
        # NaN is unlike itself; as bits it is not
        return torch.cat([view.float() for view in self._views]).view(torch.int32)


def _some(parameter: Tensor) -> Tensor:
    """A view of a few values, which sees what is written to the parameter."""
    flat = parameter.detach().view(-1)
    return flat[:: max(len(flat) // SAMPLED, 1)][:SAMPLED]


def _adapter(module: Any) -> Any:
    """Which of peft's adapters a layer adds, if it is one that can."""
    active = getattr(module, "active_adapters", None)
    if active is None or callable(active):
        return None
    return (tuple(active), bool(getattr(module, "disable_adapters", False)))


def digest(network: Any) -> str:
    """A hash of all weights and of the adapters in use."""
    total = hashlib.blake2b(digest_size=8)
    for name, parameter in sorted(network.named_parameters()):
        total.update(name.encode())
        total.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    total.update(repr([_adapter(m) for m in network.modules()]).encode())
    return total.hexdigest()
