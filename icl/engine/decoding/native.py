"""Attention of a decode step by the compiled kernel: one call a layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from icl.engine.attention.contract import Attend, LayerCall
from icl.engine.decoding.memory import SharedNode, StepAttention, Tails
from icl.engine.native import library
from icl.engine.native.attention import DTYPES, SIZES, step_attention


def step_attend(tails: Tails, spans: Sequence[tuple[SharedNode, int, int]], positions: Tensor) -> Attend:
    """The fastest attention of a step on this device: row b is the newest token of slot b."""
    if tails.device.type == "cpu" and library.available():
        return NativeStepAttention(tails, spans, positions)
    return StepAttention(tails, spans, positions)


class NativeStepAttention:
    """Drop-in for StepAttention on CPU; what has no kernel is handed to that one."""

    def __init__(self, tails: Tails, spans: Sequence[tuple[SharedNode, int, int]], positions: Tensor) -> None:
        self.tails = tails
        self.spans = spans
        self.positions = positions
        self._slots = torch.stack([torch.tensor(tails.rows), torch.tensor(tails.lengths), positions])
        self._where = torch.tensor(
            [(shared.node.depth, low, high) for shared, low, high in spans], dtype=torch.long
        ).view(-1, 3)
        tails.positions[self._slots[0], self._slots[1]] = positions
        self._other: StepAttention | None = None

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, B, D], k, v [Hkv, B, D] -> out [H, B, D]."""
        if q.dtype not in DTYPES or q.shape[2] not in SIZES or q.stride(2) != 1:
            if self._other is None:
                self._other = StepAttention(self.tails, self.spans, self.positions)
            return self._other(q, k, v, call)
        return step_attention(
            q,
            k,
            v,
            self.tails.layer(call.layer, k),
            self._slots,
            self.tails.positions,
            (
                [shared.keys[call.layer] for shared, _, _ in self.spans],
                [shared.values[call.layer] for shared, _, _ in self.spans],
                self._where,
            ),
            scaling=call.scaling,
            window=call.window,
            softcap=call.softcap,
            sinks=call.sinks,
        )
