"""Keys and values of a decode step at fixed addresses and in fixed shapes.

A recorded step (see graphed.py) reads and writes the same memory each time it is run. What changes
from step to step - tokens, lengths, which slots a shared node has - must therefore be data in it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from icl.engine.decoding.memory import SharedNode, Tails
from icl.engine.decoding.steps import Spans

SMALLEST_POOL = 256


class TailStore:
    """The tails, with rows to spare: [R, Hkv, C, D] a layer, of which the first B are slots.

    Tails are packed and moved in here, and go on as views of it, so nothing is stored twice.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.capacity = 0
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.positions: Tensor | None = None
        """[R, C]: position of each token of a tail."""

    def adopt(self, tails: Tails, rows: int) -> bool:
        """Moves in what is not here already; True if there was no room and addresses have changed."""
        tails.pack()
        moved = rows > self.rows or tails.capacity != self.capacity
        self.rows, self.capacity = max(rows, self.rows), tails.capacity
        self.positions = self._home(None if moved else self.positions, tails.positions)
        tails.positions = self.positions[: len(tails.lengths)]
        for mine, theirs in ((self.keys, tails.keys), (self.values, tails.values)):
            for layer, current in theirs.items():  # one layer at a time is there twice
                mine[layer] = self._home(None if moved else mine.get(layer), current)
                theirs[layer] = mine[layer][: len(tails.lengths)]
        return moved

    def _home(self, held: Tensor | None, current: Tensor) -> Tensor:
        """[R, ...], the rows of `current` [B, ...] first. What pads is 0: no weight makes up for a NaN."""
        if held is None:
            held = current.new_zeros((self.rows, *current.shape[1:]))
        if current.data_ptr() != held.data_ptr():
            held[: len(current)] = current
        return held


class SharedPool:
    """All shared nodes in one buffer [Hkv, N, D] a layer; key n is seen by the slots first[n] .. last[n].

    One rectangle of all slots and all shared keys instead of one a node: slots that come and go change
    `first` and `last`, not shapes. Slots multiply keys of other prompts in vain; each key is still read once.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.capacity = 0
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.ranges = torch.zeros((3, 0), dtype=torch.long, device=device)
        """[3, N]: first slot, last slot, and depth of each key. Keys of no node are seen by no slot."""
        self._places: dict[SharedNode, int] = {}
        self._spans: list[tuple[SharedNode, int, int]] = []

    def adopt(self, spans: Spans) -> bool:
        """Takes the nodes of these spans; True if there was no room and addresses have changed."""
        if list(spans) == self._spans:
            return False
        self._spans = list(spans)
        live = dict.fromkeys(shared for shared, _, _ in spans)
        self._places = {shared: at for shared, at in self._places.items() if shared in live}
        moved = not all(self._place(shared) for shared in live if shared not in self._places)
        if moved:
            self._repack(list(live))
        ranges = np.zeros((3, self.capacity), dtype=np.int64)
        for shared, low, high in spans:
            at, node = self._places[shared], shared.node
            ranges[0, at : at + node.length], ranges[1, at : at + node.length] = low, high
            ranges[2, at : at + node.length] = np.arange(node.depth, node.depth + node.length)
        self.ranges.copy_(torch.from_numpy(ranges))
        return moved

    def _place(self, shared: SharedNode) -> bool:
        """Puts a node into the first gap that it fits; False if there is none."""
        at = 0
        for other, begin in sorted(self._places.items(), key=lambda item: item[1]):
            if begin - at >= shared.node.length:
                break
            at = begin + other.node.length
        if at + shared.node.length > self.capacity:
            return False
        self._places[shared] = at
        for mine, theirs in ((self.keys, shared.keys), (self.values, shared.values)):
            for layer, part in theirs.items():
                if layer not in mine:
                    mine[layer] = part.new_zeros((part.shape[0], self.capacity, part.shape[2]))
                mine[layer][:, at : at + shared.node.length] = part
        return True

    def _repack(self, live: list[SharedNode]) -> None:
        """A pool with room for all of `live`: the next power of two, so that it seldom has to grow."""
        needed = sum(shared.node.length for shared in live)
        self.capacity = max(1 << (needed - 1).bit_length(), SMALLEST_POOL)
        self.keys, self.values, self._places = {}, {}, {}
        self.ranges = torch.zeros((3, self.capacity), dtype=torch.long, device=self.device)
        for shared in live:
            self._place(shared)
