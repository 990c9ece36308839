"""The radix nodes of a trie: maximal runs of tokens that the same sequences pass through.

Decoding stores the keys and values of a node that several samples read once, and reads them once
a step; a node that only one sample reads goes into that sample's private tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from icl.engine.trie.preorder import Trie

SHARE_TOKENS = 64
"""A node is worth a rectangle of its own when sharing it saves at least this many stored tokens. From 16 to
1,024 decoding took the same time within noise; a small number keeps memory low."""


@dataclass(frozen=True, slots=True)
class Node:
    """Rows [row, row + length) at depths [depth, depth + length), on the path of the sorted
    sequences [first, last)."""

    row: int
    length: int
    depth: int
    first: int
    last: int
    shared: bool


def slot_tokens(nodes: Sequence[Node], samples: Sequence[int], limits: Sequence[int]) -> int:
    """Tokens that memory holds for one sample, at most over all.

    samples, limits: for each sorted sequence how many are drawn, and of how many tokens. What stands in a
    sample's tail counts whole, a shared node for each of the samples that read it with its part.
    """
    held = list(limits)
    for node in nodes:
        readers = sum(samples[node.first : node.last]) if node.shared else 1
        for s in range(node.first, node.last):
            held[s] += -(-node.length // readers)
    return max(held, default=0)


def radix_nodes(trie: Trie, samples: Sequence[int]) -> list[Node]:
    """All nodes by row. `samples[s]`: how many continuations sorted sequence s is forked into.

    A node on the path of a sequence with several samples is always shared: they may start at different
    times, and it must still be there for the last of them.
    """
    open_pieces: list[tuple[int, int, int, int]] = []  # depth, row, length, first sequence
    closed: list[tuple[int, int, int, int, int]] = []

    for s in range(len(trie.order)):
        branch = int(trie.shared[s])
        while open_pieces:
            depth, row, length, first = open_pieces[-1]
            if depth + length <= branch:
                break
            open_pieces.pop()
            kept = max(branch - depth, 0)
            closed.append((row + kept, length - kept, depth + kept, first, s))
            if kept:
                open_pieces.append((depth, row, kept, first))
                break
        own = int(trie.starts[s + 1] - trie.starts[s])
        if own:
            open_pieces.append((branch, int(trie.starts[s]), own, s))
    for depth, row, length, first in open_pieces:
        closed.append((row, length, depth, first, len(trie.order)))
    totals, forking = [0], [0]
    for n in samples:
        totals.append(totals[-1] + n)
        forking.append(forking[-1] + (n > 1))
    nodes = []
    for row, length, depth, first, last in sorted(closed):
        count = totals[last] - totals[first]
        forks = forking[last] > forking[first]
        nodes.append(Node(row, length, depth, first, last, forks or length * (count - 1) >= SHARE_TOKENS))
    return nodes


def split_at(nodes: Sequence[Node], depth: int) -> list[Node]:
    """The same nodes, none of which reaches across `depth`."""
    parts = []
    for node in nodes:
        above = min(max(depth - node.depth, 0), node.length)
        for at, length in ((0, above), (above, node.length - above)):
            if length:
                parts.append(replace(node, row=node.row + at, length=length, depth=node.depth + at))
    return parts


def node_paths(nodes: Sequence[Node], count: int) -> list[list[int]]:
    """For each of `count` sorted sequences the indices of its nodes, root first."""
    paths: list[list[int]] = [[] for _ in range(count)]
    for n, node in enumerate(nodes):
        for s in range(node.first, node.last):
            paths[s].append(n)
    for path in paths:
        path.sort(key=lambda n: nodes[n].depth)
    return paths
