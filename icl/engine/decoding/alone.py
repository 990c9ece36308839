"""Decode steps in which each sample is computed as if it were alone: the batch-invariant way.

A sample sees the root, its prompt, stored once for all samples of it, and its own tail. Each is read by calls
whose shape depends on the sample's own length only; they are put together in a buffer of fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import apply_sinks, fast_attention
from icl.engine.decoding.memory import Tails, merged
from icl.engine.decoding.steps import Spans
from icl.engine.trunks.contract import Trunk
from icl.engine.trunks.fixed import FixedTrunk

SLOTS = 32
"""Samples side by side: the rows of every step, filled or not."""


class AloneStep:
    """StepRunner over a trunk of SLOTS rows."""

    def __init__(self, trunk: Trunk) -> None:
        self.trunk = FixedTrunk(trunk.inner if isinstance(trunk, FixedTrunk) else trunk, SLOTS)

    def step(self, tokens: Sequence[int], positions: Sequence[int], tails: Tails, spans: Spans) -> Tensor:
        """See StepRunner."""
        tails.reserve(max(tails.lengths) + 1)
        places = torch.tensor(positions)
        attention = AloneAttention(tails, spans, places)
        return self.trunk.logits(self.trunk.forward(torch.tensor(tokens), places, attention))


class AloneAttention:
    """As StepAttention, where each span is the whole prompt of its slots, or the root of all of them."""

    def __init__(self, tails: Tails, spans: Spans, positions: Tensor) -> None:
        self.tails = tails
        self.spans = spans
        self.positions = positions
        self.rows = torch.tensor(tails.rows)
        self.ends = torch.tensor(tails.lengths)
        tails.positions[self.rows, self.ends] = positions
        self._of_length: dict[int, list[int]] = {}
        for b, length in enumerate(tails.lengths):
            self._of_length.setdefault(length, []).append(b)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, B, D], k, v [Hkv, B, D] -> out [H, B, D]."""
        keys, values = self.tails.layer(call.layer, k)
        keys[self.rows, :, self.ends] = k.transpose(0, 1)
        values[self.rows, :, self.ends] = v.transpose(0, 1)
        heads, count, size = q.shape
        parts = 2 + any(shared.node.depth > 0 for shared, _, _ in self.spans)
        outs = torch.zeros((parts, heads, SLOTS, size))
        lses = torch.full((parts, heads, SLOTS), -torch.inf)
        lses[0, :, count:] = 0.0
        per_slot = q.transpose(0, 1)[:, :, None].float()  # [B, H, 1, D]
        for length, slots in self._of_length.items():
            rows = self.rows[slots]
            seen = self._within(slots, self.tails.positions[rows, : length + 1], call.window)
            k_tail, v_tail = (x[rows, :, : length + 1].float() for x in (keys, values))
            _attend(per_slot, slots, k_tail, v_tail, seen, call, outs[0], lses[0])
        for shared, low, high in self.spans:
            slots = list(range(low, high))
            depths = shared.node.depth + torch.arange(shared.node.length)
            seen = self._within(slots, depths.expand(len(slots), -1), call.window)
            k_all, v_all = (
                x[call.layer].float().expand(len(slots), -1, -1, -1) for x in (shared.keys, shared.values)
            )
            part = 1 + (shared.node.depth > 0)
            _attend(per_slot, slots, k_all, v_all, seen, call, outs[part], lses[part])
        out, lse = merged(outs, lses)
        if call.sinks is not None:
            out = apply_sinks(out, lse, call.sinks)
        return out[:, :count].to(q.dtype)

    def _within(self, slots: Sequence[int], places: Tensor, window: int | None) -> Tensor | None:
        """bool [n, m]: which keys at `places` the slots see; None: all."""
        return None if window is None else self.positions[slots][:, None] - places < window


def _attend(
    q: Tensor,
    slots: Sequence[int],
    k: Tensor,
    v: Tensor,
    seen: Tensor | None,
    call: LayerCall,
    outs: Tensor,
    lses: Tensor,
) -> None:
    """q [B, H, 1, D] of `slots` over k, v [n, Hkv, m, D] into outs [H, SLOTS, D] and lses [H, SLOTS].

    The kernel treats the items of a batch apart; a product with softcap does not promise to.
    """
    step = len(slots) if call.softcap is None else 1
    for low in range(0, len(slots), step):
        part = slice(low, low + step)
        mine = list(slots[part])
        out, lse = fast_attention(q[mine], k[part], v[part], None if seen is None else seen[part], call)
        none = torch.zeros(len(mine), dtype=torch.bool) if seen is None else ~seen[part].any(dim=1)
        outs[:, mine] = torch.where(none[:, None, None], 0.0, out[:, :, 0]).transpose(0, 1)
        lses[:, mine] = torch.where(none[:, None], -torch.inf, lse[:, :, 0]).transpose(0, 1)
