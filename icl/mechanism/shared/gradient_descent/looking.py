"""What a decoder's attention does at the last token of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from icl.mechanism.shared.gradient_descent.updates import Floats
from icl.mechanism.shared.heads import HeadReader, Seen
from icl.types import TokenIds


@dataclass(frozen=True, slots=True, eq=False)
class LastToken:
    """The attention of all layers at the last token."""

    outputs: Floats
    """[layers, hidden]: what the output projection gives."""
    scores: Floats
    """[layers, heads, tokens]: what the softmax is taken of, for every token of the prompt."""


def last_token(reader: HeadReader, ids: TokenIds) -> LastToken:
    """A forward of one prompt. Tokens outside of a layer's window count as a score of 0."""
    outputs: list[Tensor] = []
    scores: list[Tensor] = []

    def keep(module: nn.Module, given: Any, output: Tensor) -> None:
        outputs.append(output.reshape(-1, output.shape[-1])[-1].float().cpu())

    def look(seen: Seen) -> None:
        scores.append(seen.scores[0, :, -1].nan_to_num(neginf=0.0).cpu())

    hooks = [projection.register_forward_hook(keep) for projection in reader.projections]
    try:
        reader.forward(torch.tensor([ids], device=reader.trunk.device), look, rows=[-1])
    finally:
        for hook in hooks:
            hook.remove()
    return LastToken(_numbers(outputs), _numbers(scores))


def _numbers(layers: list[Tensor]) -> Floats:
    return np.asarray(torch.stack(layers).numpy(), dtype=np.float64)
