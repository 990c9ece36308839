"""The contract of what runs the layers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from icl.engine.attention.contract import Attend


class Trunk(Protocol):
    """A decoder as a function of packed rows."""

    @property
    def engine(self) -> str:
        """What a trie engine on this trunk is called, for the manifest of a run."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden states [T, d] after the final norm of rows tokens[T] at positions[T]."""
        ...

    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """[n, V] fp32 logits of hidden states [n, d], with what the model does after its head; or
        [n, m] of the tokens [m] only."""
        ...
