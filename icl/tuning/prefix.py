"""Prefix tuning: keys and values before every text, trained through an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from icl.components import check_number
from icl.protocols import tuners
from icl.tuning.shared.prefixes import PrefixTuner


@tuners.register(
    "prefix",
    paper="Li and Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation",
)
@dataclass(kw_only=True)
class Prefix(PrefixTuner):
    """Every layer finds `length` keys and values before every text, the output of an MLP.

    The MLP (embedding, tanh, `hidden` units) is trained and then dropped. Training does not start at the
    base.

    With init "text" the MLP's last layer is solved by least squares so that what comes out first is what the
    network keeps of the words: exactly, with at least as many hidden units as virtual tokens. (The authors
    train the MLP towards it.)
    """

    name = "prefix"
    learning_rate: float | Sequence[float] = 1e-4
    hidden: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("hidden", self.hidden, low=1, whole=True)

    def encoder(self, config: Any, start: Tensor | None) -> nn.Module:
        """peft's MLP."""
        import peft

        through = replace(config, prefix_projection=True, encoder_hidden_size=self.hidden)
        made: nn.Module = peft.PrefixEncoder(through)  # type: ignore[no-untyped-call]
        if start is not None:
            _solve(made, start.cpu())
        return made


@torch.no_grad()
def _solve(encoder: Any, wanted: Tensor) -> None:
    """Sets the last layer to the smallest weights whose output is nearest `wanted` [length, width]."""
    first, tanh, last = encoder.transform
    features = tanh(first(encoder.embedding.weight)).double()
    last.weight.copy_(torch.linalg.lstsq(features, wanted.double(), driver="gelsd").solution.T)
    last.bias.zero_()
