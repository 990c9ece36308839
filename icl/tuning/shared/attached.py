"""An adaptation that has been put into a network: what is trained, and what is left of it in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from icl.errors import ModelError
from icl.training import Network, Root


class Attached:
    """Base of all. `network` is changed in place; only what `parameters` names is trained.

    A method overrides what it needs: most only `finish`.
    """

    measures = False
    """Whether there is more to measure on the validation split than the one number that decides."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name: all that requires a gradient."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def root(self) -> Root | None:
        """What stands before every text, with its gradient."""
        return None

    def before_step(self, step: int, of: int, generator: torch.Generator) -> None:
        """Before the forwards of step 0 .. of-1; draws come from a generator of this step alone. Most methods
        do nothing here, nor after a step."""

    def after_step(self, step: int, of: int) -> None:
        """After the optimiser's step, while the gradients are there."""

    def extra_loss(self) -> Tensor | None:
        """Added to the loss of each step once."""
        return None

    def state(self) -> dict[str, Tensor]:
        """What is trained, on the CPU."""
        return {name: p.detach().cpu().clone() for name, p in self.parameters().items()}

    def kept(self) -> dict[str, Tensor]:
        """What the folder holds and `Tuner.restore` is given: less than `state` where part of it was of use
        in training alone."""
        return self.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state. ModelError where it is that of another network or other settings."""
        own = self.parameters()
        check_state({name: p.shape for name, p in own.items()}, state)
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def schedule_state(self) -> dict[str, Any]:
        """What a killed run needs besides, as plain data and tensors."""
        return {}

    def load_schedule_state(self, state: Mapping[str, Any]) -> None:
        """Takes it over. ModelError for one that this method did not keep."""
        if state:
            raise ModelError(f"a schedule was kept ({', '.join(state)}) that this method does not have")

    def finish(self) -> tuple[Network, Root | None]:
        """The network to ask, merged where the method merges, and what stands before every text."""
        root = self.root()
        self.network.requires_grad_(False)
        return self.network.eval(), root

    def measured(self, look: Callable[[], tuple[float, int]]) -> tuple[dict[str, Any], int]:
        """Of the best weights, before `finish`: (for the notes, tokens asked). `look` gives (how good, tokens
        asked) of the network as it is then."""
        return {}, 0

    def notes(self) -> dict[str, Any]:
        """What a reader of results should know."""
        return {}

    def peft_config(self) -> dict[str, Any] | None:
        """adapter_config.json, where peft has the form and `state` the names it looks for."""
        return None


def check_state(own: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """ModelError unless names and shapes are the same."""
    missing, more = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    unlike = [n for n in own if n in state and tuple(own[n]) != tuple(state[n].shape)]
    if missing or more or unlike:
        first = (missing or more or unlike)[0]
        what = (
            "is not in it"
            if missing
            else "is not in this model"
            if more
            else (f"is {tuple(state[first].shape)}, here {tuple(own[first])}")
        )
        raise ModelError(f"what was trained is of another model or of other settings: {first} {what}")
