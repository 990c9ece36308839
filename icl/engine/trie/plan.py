"""From a trie to chunks that a machine can run one after another in bounded memory.

A chunk is a run of rows of the preorder. The keys and values that must outlive it are those of
the *path* from the root to the next row, kept in a stack that is indexed by depth. Each stack
depth is visible to a prefix of the next chunk's rows, so visibility of the stack is a staircase.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.engine.trie.preorder import Int, Trie, subtree_ends


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows first .. first + T of a trie's preorder, ready to be forwarded.

    tokens[T], positions[T]: id and depth of each row. end[T]: row just past the subtree, relative
    to `first` and clipped to T. `stairs`: (rows, depth) pairs, rows increasing and depths
    decreasing: rows before `rows` that no earlier stair covers see the stack below `depth`.
    `keep_depth`: what remains of the stack; `push[n]`: relative rows that go on top of it.
    """

    first: int
    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    end: Int
    stairs: tuple[tuple[int, int], ...]
    keep_depth: int
    push: Int

    @property
    def rows(self) -> int:
        """T."""
        return len(self.tokens)

    @property
    def stack_depth(self) -> int:
        """Keys of the stack that any row of the chunk sees."""
        return self.stairs[0][1]


class Layout:
    """The preorder of a trie as arrays over rows: token, depth, subtree end."""

    def __init__(self, trie: Trie) -> None:
        self.trie = trie
        self.tokens = np.empty(trie.rows, dtype=np.int64)
        self.depths = np.empty(trie.rows, dtype=np.int64)
        for s, index in enumerate(trie.order):
            a, b = trie.starts[s], trie.starts[s + 1]
            if b > a:
                self.tokens[a:b] = trie.sequences[index][trie.shared[s] :]
                self.depths[a:b] = np.arange(trie.shared[s], trie.lengths[s])
        self.end = subtree_ends(trie)

    def path_rows(self) -> Iterator[tuple[int, Int]]:
        """(sorted index s, rows of its whole path by depth), s by s.

        The array is reused: copy what you keep.
        """
        trie = self.trie
        rows = np.zeros(trie.depth, dtype=np.int64)
        for s in range(len(trie.order)):
            own = np.arange(trie.starts[s], trie.starts[s + 1])
            rows[trie.shared[s] : trie.lengths[s]] = own
            yield s, rows[: trie.lengths[s]]

    def chunks(self, budget: int, first: int = 0, last: int | None = None) -> Iterator[Chunk]:
        """Rows first .. last of the preorder cut at `budget` rows; each is in exactly one chunk."""
        if budget < 1:
            raise ValueError(f"a chunk needs at least one row, not {budget}")
        stop = self.trie.rows if last is None else last
        for row in range(first, stop, budget):
            yield self.chunk(row, min(row + budget, stop))

    def chunk(self, first: int, last: int) -> Chunk:
        """Rows first .. last as a chunk."""
        depths = self.depths[first:last]
        rows = last - first
        # a row at depth d leaves only the stack below d visible to itself and to all after it
        visible = np.minimum.accumulate(depths)
        falls = np.flatnonzero(np.diff(visible)) + 1
        bounds = [*falls.tolist(), rows]
        tops = [int(visible[0]), *visible[falls].tolist()]
        stairs = tuple((b, int(d)) for b, d in zip(bounds, tops, strict=True))
        next_depth = int(self.depths[last]) if last < self.trie.rows else 0
        keep = min(int(visible[-1]), next_depth)
        # rows of this chunk that are ancestors of row `last`: those whose subtree goes on past it
        push = np.flatnonzero(self.end[first:last] > last)
        end = np.minimum(self.end[first:last], last) - first
        return Chunk(first, self.tokens[first:last], depths, end, stairs, keep, push)
