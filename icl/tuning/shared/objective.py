"""What is made small: a sum over rows over a norm, so that a batch may be cut wherever memory asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from torch import Tensor

from icl.tuning.shared.tokens import TokenRow

Loss = Literal["per_token", "per_example"]
LOSSES = ("per_token", "per_example")


class Objective(Protocol):
    """A loss of a batch: sum over its rows of `of`, divided by `norm`."""

    def norm(self, rows: Sequence[TokenRow]) -> float:
        """Of the whole batch, however it is cut."""
        ...

    def of(self, logprobs: Tensor, row: TokenRow) -> Tensor:
        """[] from the log-probabilities [learned] of one row."""
        ...


class NegativeLogLikelihood:
    """Cross-entropy of the completion, weighted by the row.

    "per_token": the mean over the learned tokens of the batch (transformers, trl); "per_example": the mean
    over its tokens for each row, then over rows (MetaICL). They differ once answers have unlike lengths.
    """

    def __init__(self, loss: Loss = "per_token") -> None:
        self.loss = loss

    def norm(self, rows: Sequence[TokenRow]) -> float:
        """Learned tokens, or rows."""
        return float(sum(row.learned for row in rows) if self.loss == "per_token" else len(rows))

    def of(self, logprobs: Tensor, row: TokenRow) -> Tensor:
        """Minus the sum, or minus the mean."""
        total = logprobs.sum() if self.loss == "per_token" else logprobs.mean()
        return -row.row.weight * total
