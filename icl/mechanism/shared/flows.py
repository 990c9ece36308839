"""Where attention, or what the loss owes to it, flows: into label words, out of them to the end,
elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLOWS = ("text to label words", "label words to end", "other words")
"""S_wp, S_pq and S_ww of Wang et al. 2023."""


def flows(table: Floats, words: Sequence[int]) -> Floats:
    """Means of the three flows, [layers, tokens, tokens] (row: who attends, column: to whom) -> [layers, 3].

    The end is the last token. S_wp: of all (p, j) with p a label word and j before it. S_pq: of all (end, p).
    S_ww: of all other pairs with j before i; what a token pays itself counts nowhere.

    ValueError for a word that has nothing before it, or that is the end, and for one named twice.
    """
    last = table.shape[-1] - 1
    if len(set(words)) < len(words) or not words or not all(0 < p < last for p in words):
        raise ValueError(f"words are {list(words)}; allowed: different places from 1 to {last - 1}")
    below = np.tril(np.ones(table.shape[-2:], dtype=bool), -1)
    into, out = np.zeros_like(below), np.zeros_like(below)
    into[list(words)] = True
    out[last, list(words)] = True
    parts = (below & into, below & out, below & ~into & ~out)
    return np.stack([table[..., part].mean(axis=-1) for part in parts], axis=-1)
