"""A trunk that always works on the same number of rows, so that no product's blocking depends on the batch.

The kernels behind a matrix product choose their way by its shape: two rows may be summed in another order
than two hundred. With rows of zeros put below, every call has one shape, and a row's result is its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.trunks.contract import Trunk

HEAD_ROWS = 32
"""Rows that meet the head at once."""


class FixedTrunk:
    """`inner` on exactly `rows` rows a forward; logits in fp64, so that sums over the vocabulary round to the
    same fp32 number in any order."""

    def __init__(self, inner: Trunk, rows: int) -> None:
        self.inner = inner
        self.rows = rows

    @property
    def engine(self) -> str:
        """See Trunk."""
        return f"{self.inner.engine}, batch-invariant"

    @property
    def device(self) -> torch.device:
        """See Trunk."""
        return self.inner.device

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """See Trunk; `rows` rows at most."""
        count = len(tokens)

        def padded(q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
            out = q.new_zeros(q.shape)
            out[:, :count] = attend(q[:, :count], k[:, :count], v[:, :count], call)
            return out

        return self.inner.forward(_filled(tokens, self.rows), _filled(positions, self.rows), padded)[:count]

    def logits(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """See Trunk."""
        parts = [hidden[low : low + HEAD_ROWS] for low in range(0, len(hidden), HEAD_ROWS)]
        logits = [self.inner.logits(_filled(part, HEAD_ROWS), tokens)[: len(part)] for part in parts]
        return torch.cat(logits).double()


def _filled(x: Tensor, rows: int) -> Tensor:
    """[rows, ...] with zeros below x."""
    full = x.new_zeros((rows, *x.shape[1:]))
    full[: len(x)] = x
    return full
