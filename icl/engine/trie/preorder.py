"""The token trie of a set of sequences, as flat arrays in DFS preorder.

Sorted lexicographically, each sequence adds to the trie exactly the tokens after the prefix that
it shares with its predecessor. Those additions, one after another, *are* the preorder of the
trie: token i sees token j iff  j <= i < end[j], end[j] being the row just past j's subtree.

All work is on whole arrays or once a sequence, never once a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

COMPARE_ROWS = 4096
"""Sequences compared with their neighbours at once: bounds the memory of `shared_lengths`."""


@dataclass(frozen=True, slots=True)
class Trie:
    """Sequences in sorted order and what each adds.

    `order[s]` is the input index of sorted sequence s, `lengths[s]` its length, `shared[s]` the
    length of the prefix that it shares with sequence s-1, `starts[s]` the row of its first own
    token: its own tokens occupy rows starts[s] .. starts[s+1], at depths shared[s] .. lengths[s].
    """

    sequences: Sequence[NDArray[np.int32]]
    order: Int
    lengths: Int
    shared: Int
    starts: Int

    @property
    def rows(self) -> int:
        """Unique tokens: rows of the trie."""
        return int(self.starts[-1])

    @property
    def flat(self) -> int:
        """Tokens of all sequences, shared or not."""
        return int(self.lengths.sum())

    @property
    def depth(self) -> int:
        """Length of the longest sequence."""
        return int(self.lengths.max(initial=0))


def as_arrays(sequences: Iterable[Sequence[int]]) -> list[NDArray[np.int32]]:
    """Token sequences as int32 arrays."""
    return [np.asarray(s, dtype=np.int32) for s in sequences]


def sort_sequences(sequences: Sequence[NDArray[np.int32]]) -> Int:
    """Indices that sort the sequences lexicographically; equal sequences keep their order.

    Big-endian bytes compare like the ids they hold, so the sort runs on byte strings in C.
    """
    keys = [s.astype(">u4").tobytes() for s in sequences]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def shared_lengths(sequences: Sequence[NDArray[np.int32]], order: Int) -> Int:
    """shared[s]: length of the common prefix of sorted sequences s-1 and s; 0 for the first."""
    shared = np.zeros(len(order), dtype=np.int64)
    for low in range(0, len(order) - 1, COMPARE_ROWS):
        block = [sequences[i] for i in order[low : low + COMPARE_ROWS + 1]]
        lengths = np.array([len(s) for s in block])
        width = int(lengths.max())
        filled = np.arange(width) < lengths[:, None]
        # -1 pads: a sequence never equals its neighbour past either end
        padded = np.full((len(block), width), -1, dtype=np.int32)
        padded[filled] = np.concatenate(block)
        differs = padded[1:] != padded[:-1]
        first = np.where(differs.any(axis=1), differs.argmax(axis=1), width)
        shared[low + 1 : low + len(block)] = np.minimum(first, np.minimum(lengths[1:], lengths[:-1]))
    return shared


def build_trie(sequences: Sequence[NDArray[np.int32]], share: bool = True, root: int = 0) -> Trie:
    """The trie of the sequences. O(N log N) byte comparisons and one pass over the tokens.

    share: False puts each sequence on a path of its own, below the `root` first tokens, which all have.
    """
    order = sort_sequences(sequences)
    lengths = np.array([len(sequences[i]) for i in order], dtype=np.int64)
    shared = shared_lengths(sequences, order) if share else np.full(len(order), root, dtype=np.int64)
    shared[:1] = 0
    starts = np.zeros(len(order) + 1, dtype=np.int64)
    np.cumsum(lengths - shared, out=starts[1:])
    return Trie(sequences, order, lengths, shared, starts)


def count_unique(sequences: Sequence[NDArray[np.int32]]) -> int:
    """Tokens that need a forward when every shared prefix is computed once."""
    return build_trie(sequences).rows if sequences else 0


def subtree_ends(trie: Trie) -> Int:
    """end[j] for every row j. O(sequences) steps, each on array slices.

    The stack holds the pieces of the current path as (depth, row, length); a sequence that
    branches off at depth d ends the subtrees of everything below d.
    """
    end = np.full(trie.rows, trie.rows, dtype=np.int64)
    path: list[tuple[int, int, int]] = []
    for s in range(len(trie.order)):
        start, depth = int(trie.starts[s]), int(trie.shared[s])
        while path:
            top_depth, row, length = path[-1]
            if top_depth + length <= depth:
                break
            path.pop()
            kept = max(depth - top_depth, 0)
            end[row + kept : row + length] = start
            if kept:
                path.append((top_depth, row, kept))
                break
        own = int(trie.starts[s + 1]) - start
        if own:
            path.append((depth, start, own))
    return end
