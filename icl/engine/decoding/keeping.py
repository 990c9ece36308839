"""Texts from one call to the next: what a call takes over, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from icl.engine.attention.dense import PathStack
from icl.engine.decoding.memory import SharedNode, Tails
from icl.engine.forward.resident import Kept, Loan, Resident, RootRows
from icl.engine.trie.preorder import Trie
from icl.types import TokenIds


def loans(trie: Trie, prompts: Sequence[TokenIds], resident: Resident) -> list[Loan]:
    """Rows that an earlier call has left behind: each prompt's own rows that a kept text covers.

    prompts: in the trie's order.
    """
    found = []
    for s, prompt in enumerate(prompts):
        kept = resident.longest(prompt)
        low = int(trie.shared[s])
        if kept is not None and min(kept[0], len(prompt) - 1) > low:
            count = min(kept[0], len(prompt) - 1) - low
            found.append(Loan(int(trie.starts[s]), count, low, kept[1]))
    return found


def plant(root: RootRows, stack: PathStack, nodes: Iterable[SharedNode]) -> None:
    """Puts the root where it is read: onto the stack, and into the shared `nodes` that begin with it."""
    kept = root.kept
    stack.begin(kept.keys, kept.values)
    for node in nodes:
        for layer, keys in kept.keys.items():
            node.put(layer, 0, keys, kept.values[layer])


def whole_text(tails: Tails, slot: int, above: Sequence[SharedNode], position: int) -> Kept:
    """A slot's keys and values up to `position`, put together from its shared nodes and its tail."""
    length, row = tails.lengths[slot], tails.rows[slot]
    places = tails.positions[row, :length]
    keys, values = {}, {}
    # a text that ended at its first token may have no tail, nor any other have had one
    for layer, like in (tails.keys or above[0].keys).items():
        keys[layer] = like.new_empty((like.shape[-3], position, like.shape[-1]))
        values[layer] = torch.empty_like(keys[layer])
        if length:
            keys[layer][:, places] = tails.keys[layer][row, :, :length]
            values[layer][:, places] = tails.values[layer][row, :, :length]
        for shared in above:
            part = slice(shared.node.depth, shared.node.depth + shared.node.length)
            keys[layer][:, part] = shared.keys[layer]
            values[layer][:, part] = shared.values[layer]
    return Kept(keys, values)
