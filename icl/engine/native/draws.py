"""The next tokens of all slots in one call: greedy or drawn, with the log-sum-exp of each row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from icl.engine.native.library import available, ops


def covers(logits: Tensor) -> bool:
    """Are there kernels for logits like these?"""
    return logits.device.type == "cpu" and logits.dtype == torch.float32 and available()


def draw_tokens(
    logits: Tensor, settings: Sequence[tuple[float, int, float, float]], banned: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """logits [B, V] -> the tokens drawn and the most likely ones [B], and log-sum-exps [B] in fp64.

    settings: temperature (0: greedy), top_k (0: all), top_p and u of each row; its token is the inverse of
    the cumulative distribution at u, over what is not `banned`. Of equal logits the first token comes first.
    A row whose log-sum-exp is not finite has token 0.
    """
    ends: list[int] = []
    flat: list[int] = []
    if any(banned):
        for row in banned:
            flat += row
            ends.append(len(flat))
    chosen, likeliest, lse = ops().draw_tokens(
        logits.contiguous(), torch.tensor(settings, dtype=torch.float64), flat, ends
    )
    return chosen, likeliest, lse
