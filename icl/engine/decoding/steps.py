"""One decode step: the newest token of every slot in, logits out.

How a step is run differs by device; what it computes does not. `EagerStep` is the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from icl.engine.decoding.memory import SharedNode, Tails
from icl.engine.decoding.native import step_attend
from icl.engine.trunks.contract import Trunk

Spans = Sequence[tuple[SharedNode, int, int]]
"""(shared node, first slot, last slot): the contiguous slots below each stored node."""


class StepRunner(Protocol):
    """Runs decode steps of one batch of generate requests."""

    def step(self, tokens: Sequence[int], positions: Sequence[int], tails: Tails, spans: Spans) -> Tensor:
        """Logits [B, V] after tokens[B] at positions[B]; they hold until the next step.

        Puts the tokens' keys and values at the end of the tails; the caller counts up their `lengths`.
        """
        ...


class EagerStep:
    """Every operation launched from Python."""

    def __init__(self, trunk: Trunk) -> None:
        self.trunk = trunk

    def step(self, tokens: Sequence[int], positions: Sequence[int], tails: Tails, spans: Spans) -> Tensor:
        """See StepRunner."""
        device = self.trunk.device
        places = torch.tensor(positions, device=device)
        tails.reserve(max(tails.lengths) + 1)
        attention = step_attend(tails, spans, places)
        return self.trunk.logits(self.trunk.forward(torch.tensor(tokens, device=device), places, attention))
