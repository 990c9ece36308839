"""Keys and values while decoding: shared nodes stored once, private tails a row each.

Active samples ("slots") stand in DFS order of their prompts, so the slots below a shared node are
contiguous: a node is read once a step by a rectangle of queries. What only one sample sees - the
end of its prompt and all it has generated - is its tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from icl.engine.attention.contract import LayerCall
from icl.engine.attention.dense import PathStack, apply_sinks, fast_attention, plain_attention
from icl.engine.trie.plan import Chunk
from icl.engine.trie.radix import Node

TAIL_STEP = 64
"""Tails grow by this many tokens at a time."""


class SharedNode:
    """Keys and values of one radix node for every layer, made while its rows are prefilled."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}

    def put(self, layer: int, at: int, k: Tensor, v: Tensor) -> None:
        """Stores rows k, v [Hkv, n, D] at offset `at` of the node."""
        if layer not in self.keys:
            heads, _, size = k.shape
            self.keys[layer] = k.new_empty((heads, self.node.length, size))
            self.values[layer] = k.new_empty((heads, self.node.length, size))
        self.keys[layer][:, at : at + k.shape[1]] = k
        self.values[layer][:, at : at + k.shape[1]] = v


@dataclass(frozen=True, slots=True)
class Taken:
    """A tail that waits outside: keys and values [Hkv, n, D] by layer, positions [n]."""

    keys: dict[int, Tensor]
    values: dict[int, Tensor]
    positions: Tensor


class Tails:
    """Private keys and values of all slots: [R, Hkv, capacity, D] a layer.

    Slot b has row `rows[b]`, of which `lengths[b]` tokens are filled; `positions` [R, capacity] holds
    the position of each, for windows. A sample that ends leaves its row to the next that comes, so
    nothing is moved for it; the rows are put into the order of the slots only by `pack`.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.rows: list[int] = []
        self.lengths: list[int] = []
        self.positions = torch.zeros((0, TAIL_STEP), dtype=torch.long, device=device)

    @property
    def capacity(self) -> int:
        """Tokens that fit into every tail."""
        return self.positions.shape[1]

    @property
    def held(self) -> int:
        """Rows in memory, those of no slot included."""
        return self.positions.shape[0]

    @property
    def packed(self) -> bool:
        """Is slot b in row b, and no row idle?"""
        return self.rows == list(range(self.held))

    def add(self, count: int) -> None:
        """Makes `count` empty slots after the present ones, in idle rows first."""
        idle = sorted(set(range(self.held)) - set(self.rows))[:count]
        fresh = range(self.held, self.held + count - len(idle))
        for held in (*self.keys.values(), *self.values.values()):
            held[idle] = 0  # what is masked must be finite all the same
        self._grow(self.held + len(fresh), self.capacity)
        self.rows += [*idle, *fresh]
        self.lengths += [0] * count

    def keep(self, slots: Sequence[int]) -> None:
        """Forgets every slot that is not listed; the listed ones move together, order kept."""
        self.lengths = [self.lengths[s] for s in slots]
        self.rows = [self.rows[s] for s in slots]
        if 2 * len(self.rows) <= self.held:
            self.pack()

    def pack(self) -> None:
        """Puts slot b into row b and gives idle rows back."""
        if self.packed:
            return
        index = torch.tensor(self.rows, dtype=torch.long, device=self.device)
        self.rows = list(range(len(self.rows)))
        self.positions = self.positions[index]
        for layer in self.keys:
            self.keys[layer] = self.keys[layer][index]
            self.values[layer] = self.values[layer][index]

    def reserve(self, tokens: int) -> None:
        """Capacity for at least `tokens` in every tail."""
        if tokens > self.capacity:
            self._grow(self.held, -(-tokens // TAIL_STEP) * TAIL_STEP)

    def _grow(self, rows: int, capacity: int) -> None:
        """Room for so many rows and tokens, one layer at a time; where memory ends, all is as before."""
        before = tuple(self.positions.shape)
        if (rows, capacity) == before:
            return
        try:
            for layer in self.keys:
                self.keys[layer] = _padded(self.keys[layer], rows, capacity, dim=2)
                self.values[layer] = _padded(self.values[layer], rows, capacity, dim=2)
            self.positions = _padded(self.positions, rows, capacity)
        except (RuntimeError, MemoryError):
            for held in (self.keys, self.values):
                for layer, grown in held.items():
                    held[layer] = grown[: before[0], :, : before[1]]
            raise

    def taken(self, slot: int) -> Taken:
        """A copy of one slot's tail, of its own length; on a GPU in the machine's memory."""
        row, length = self.rows[slot], self.lengths[slot]
        return Taken(
            {layer: keys[row, :, :length].clone().cpu() for layer, keys in self.keys.items()},
            {layer: values[row, :, :length].clone().cpu() for layer, values in self.values.items()},
            self.positions[row, :length].clone().cpu(),
        )

    def put(self, slot: int, taken: Taken) -> None:
        """Fills an empty slot with a tail that was taken out; there must be room (`reserve`)."""
        row, length = self.rows[slot], len(taken.positions)
        for held, theirs in ((self.keys, taken.keys), (self.values, taken.values)):
            for layer, part in theirs.items():
                held[layer][row, :, :length] = part.to(self.device)
        self.positions[row, :length] = taken.positions.to(self.device)
        self.lengths[slot] = length

    def layer(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The buffers of a layer, made on first use; like: [Hkv, n, D]."""
        if layer not in self.keys:
            shape = (self.held, like.shape[0], self.capacity, like.shape[2])
            self.keys[layer] = like.new_zeros(shape)
            self.values[layer] = like.new_zeros(shape)
        return self.keys[layer], self.values[layer]


def _padded(tensor: Tensor, rows: int, capacity: int, dim: int = 1) -> Tensor:
    """A zero-filled copy with `rows` rows and `capacity` along `dim`."""
    shape = list(tensor.shape)
    shape[0], shape[dim] = rows, capacity
    grown = tensor.new_zeros(shape)
    grown[: tensor.shape[0]].narrow(dim, 0, tensor.shape[dim]).copy_(tensor)
    return grown


class Capture:
    """Wraps a chunk's attention and keeps what decoding will read.

    `shared`: nodes with rows in the chunk; `private`: (slot, offset in tail, first row, rows) runs.
    """

    def __init__(
        self,
        inner: object,
        chunk: Chunk,
        shared: Sequence[SharedNode],
        private: Sequence[tuple[int, int, int, int]],
        tails: Tails,
    ) -> None:
        self.inner = inner
        self.chunk = chunk
        self.shared = shared
        self.private = private
        self.tails = tails

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        first, last = self.chunk.first, self.chunk.first + self.chunk.rows
        for shared in self.shared:
            low, high = max(shared.node.row, first), min(shared.node.row + shared.node.length, last)
            shared.put(
                call.layer,
                low - shared.node.row,
                k[:, low - first : high - first],
                v[:, low - first : high - first],
            )
        if self.private:
            keys, values = self.tails.layer(call.layer, k)
            for slot, at, row, count in self.private:
                tail = self.tails.rows[slot]
                keys[tail, :, at : at + count] = k[:, row - first : row - first + count]
                values[tail, :, at : at + count] = v[:, row - first : row - first + count]
        return self.inner(q, k, v, call)  # type: ignore[operator, no-any-return]


def copy_from_stack(stack: PathStack, tails: Tails, slot: int, at: int, depth: int, count: int) -> None:
    """Puts stack depths [depth, depth + count) into a tail: the part of a path that was prefilled
    before this slot was admitted."""
    row = tails.rows[slot]
    for layer, keys in stack.keys.items():
        tail_k, tail_v = tails.layer(layer, keys)
        tail_k[row, :, at : at + count] = keys[:, depth : depth + count]
        tail_v[row, :, at : at + count] = stack.values[layer][:, depth : depth + count]


class StepAttention:
    """Attention of one decode step: row b is the newest token of slot b.

    `spans`: (shared node, first slot, last slot). Each row sees the shared nodes above it and its
    own tail, the newest token included. Nodes at one level of the trie have disjoint slots, so the
    parts of a row - its tail, then one a level - lie in one buffer and are merged at once by their
    log-sum-exp; a level where a row has no node keeps -inf and weighs nothing. Tails are read where they
    lie, idle rows among them.
    """

    def __init__(self, tails: Tails, spans: Sequence[tuple[SharedNode, int, int]], positions: Tensor) -> None:
        self.tails = tails
        self.spans = spans
        self.levels = span_levels([(low, high) for _, low, high in spans])
        self.positions = positions
        self.rows = torch.tensor(tails.rows, device=tails.device)
        self.ends = torch.tensor(tails.lengths, device=tails.device)
        self.used = max(tails.lengths) + 1
        self.packed = tails.packed
        tails.positions[self.rows, self.ends] = positions
        self._mask: dict[int | None, Tensor] = {}
        self._parts: tuple[Tensor, Tensor] | None = None

    def _seen(self, window: int | None) -> Tensor | None:
        """bool [R, used]: which tokens the slot of each row sees; None: all of them. Idle rows see all."""
        if window is None and min(self.tails.lengths) + 1 == self.used:
            return None
        if window not in self._mask:
            seen = torch.arange(self.used, device=self.tails.device)[None] <= self.ends[:, None]
            if window is not None:
                places = self.tails.positions[self.rows, : self.used]
                seen &= self.positions[:, None] - places < window
            self._mask[window] = self._by_row(seen, fill=1)
        return self._mask[window]

    def _by_row(self, of_slots: Tensor, fill: int = 0) -> Tensor:
        """[R, ...] from [B, ...]: what belongs to each slot, where its tail lies."""
        if self.packed:
            return of_slots
        placed = of_slots.new_full((self.tails.held, *of_slots.shape[1:]), fill)
        placed[self.rows] = of_slots
        return placed

    def _by_slot(self, of_rows: Tensor) -> Tensor:
        """[B, ...] from [R, ...]."""
        return of_rows if self.packed else of_rows[self.rows]

    def _buffers(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """out [1 + levels, H, B, D] and lse [1 + levels, H, B], fp32; made once a step, as every layer
        fills the same places."""
        if self._parts is None:
            heads, rows, size = q.shape
            count = 1 + max(self.levels, default=0)
            out = torch.zeros((count, heads, rows, size), device=q.device)
            self._parts = (out, torch.full((count, heads, rows), -torch.inf, device=q.device))
        return self._parts

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, call: LayerCall) -> Tensor:
        """q [H, B, D], k, v [Hkv, B, D] -> out [H, B, D]."""
        keys, values = self.tails.layer(call.layer, k)
        keys[self.rows, :, self.ends] = k.transpose(0, 1)
        values[self.rows, :, self.ends] = v.transpose(0, 1)
        heads, rows, size = q.shape
        per_row = self._by_row(q.transpose(0, 1))[:, :, None]  # [R, H, 1, D]
        tail, tail_lse = fast_attention(
            per_row, keys[:, :, : self.used], values[:, :, : self.used], self._seen(call.window), call
        )
        tail, tail_lse = self._by_slot(tail), self._by_slot(tail_lse)
        out, lse = tail.view(rows, heads, size).transpose(0, 1), tail_lse.view(rows, heads).transpose(0, 1)
        if self.spans:
            outs, lses = self._buffers(q)
            outs[0], lses[0] = out, lse
            for (shared, low, high), level in zip(self.spans, self.levels, strict=True):
                part, part_lse = self._span(q[:, low:high], shared, self.positions[low:high], call)
                outs[level, :, low:high], lses[level, :, low:high] = part, part_lse
            out, lse = merged(outs, lses)
        if call.sinks is not None:
            out = apply_sinks(out, lse, call.sinks)
        return out.to(q.dtype)

    @staticmethod
    def _span(q: Tensor, shared: SharedNode, positions: Tensor, call: LayerCall) -> tuple[Tensor, Tensor]:
        """The slots below a shared node against all of its keys; out [H, n, D], lse [H, n]."""
        node, keys, values = shared.node, shared.keys[call.layer], shared.values[call.layer]
        if call.window is None:
            out, lse = fast_attention(q[None], keys[None], values[None], None, call)
            return out[0], lse[0]
        depths = torch.arange(node.depth, node.depth + node.length, device=q.device)
        return plain_attention(q, keys, values, positions[:, None] - depths[None] < call.window, call)


def span_levels(spans: Sequence[tuple[int, int]]) -> list[int]:
    """For each nested span [low, high) of slots its level: 1 for outermost, 1 more inside another.

    Equal spans count as one inside the other; spans of one level never overlap.
    """
    levels = [0] * len(spans)
    open_until: list[int] = []
    for at in sorted(range(len(spans)), key=lambda at: (spans[at][0], -spans[at][1], at)):
        low, high = spans[at]
        while open_until and open_until[-1] <= low:
            open_until.pop()
        open_until.append(high)
        levels[at] = len(open_until)
    return levels


def merged(outs: Tensor, lses: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over the union of sets of keys from that over each: outs [n, H, B, D], lses [n, H, B], fp32.

    A set without keys has lse -inf and weighs nothing; where no set has any, the result is 0 and -inf.
    """
    lse = torch.logsumexp(lses, dim=0)
    weights = torch.exp(lses - lse.clamp(min=torch.finfo(torch.float32).min))
    return (outs * weights[..., None]).sum(dim=0), lse
