"""Which beginning of a prompt other prompts of the run have too: what an engine that shares forwards once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from icl.experiments.records import Cell
from icl.leaderboard.page.texts import utf16


def common(a: str, b: str) -> int:
    """Characters that two texts begin with alike."""
    least = min(len(a), len(b))
    if a[:least] == b[:least]:
        return least
    low, high = 0, least
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle)
    return low


class Beginnings:
    """Prompts in pieces, of all cells that one network answers."""

    def __init__(self) -> None:
        self._prompts: dict[tuple[str, str], dict[tuple[int, ...], list[tuple[str, int]]]] = {}

    def add(self, cell: Cell, prompts: Sequence[Sequence[int]]) -> None:
        """The prompts of a cell, as numbers of texts."""
        network = self._prompts.setdefault((cell.model, cell.tuning), {})
        name = cell.id
        for at, pieces in enumerate(prompts):
            if pieces:
                network.setdefault(tuple(pieces), []).append((name, at))

    def lengths(self, texts: Sequence[str]) -> dict[str, dict[int, tuple[int, int, int]]]:
        """Cell id -> prediction -> the longest beginning that another prompt has too, as (whole pieces,
        characters of the next as JavaScript counts), and how many other predictions had the very same prompt.

        The longest is that of a neighbour in lexicographic order.
        """
        order = sorted(range(len(texts)), key=texts.__getitem__)
        rank = [0] * len(texts)
        for place, number in enumerate(order):
            rank[number] = place
        found: dict[str, dict[int, tuple[int, int, int]]] = {}
        for prompts in self._prompts.values():
            ranked = sorted(prompts.items(), key=lambda item: [rank[piece] for piece in item[0]])
            best = [(0, 0)] * len(ranked)
            for i, ((before, _), (after, _)) in enumerate(pairwise(ranked)):
                alike = _alike(before, after, texts)
                best[i], best[i + 1] = max(best[i], alike), max(best[i + 1], alike)
            for (_, places), (whole, more) in zip(ranked, best, strict=True):
                for cell, at in places:
                    found.setdefault(cell, {})[at] = (whole, more, len(places) - 1)
        return found


def _alike(a: Sequence[int], b: Sequence[int], texts: Sequence[str]) -> tuple[int, int]:
    whole = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            return whole, utf16(texts[x], common(texts[x], texts[y]))
        whole += 1
    return whole, 0
