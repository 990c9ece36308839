"""Where each head looks in repeated tokens, and what it then makes more likely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icl.mechanism.shared.heads import HeadReader, Seen
from icl.mechanism.shared.induction.circuits import Circuits
from icl.mechanism.shared.induction.repeats import batches

ROWS = 3232
"""Tokens that are forwarded at once."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """What is looked for, of texts of `lead` tokens and then `repeats` times the same `period` ones."""

    lead: int
    period: int
    repeats: int

    @property
    def length(self) -> int:
        """Tokens of a text."""
        return self.lead + self.period * self.repeats

    @property
    def prefix(self) -> Tensor:
        """bool [S, S]: from a token of the second repeat on, those that followed the same token before."""
        rows, keys = self._grid
        back = rows - (keys - 1)
        return (rows >= self.lead + self.period) & (keys > self.lead) & (back > 0) & (back % self.period == 0)

    @property
    def previous(self) -> Tensor:
        """bool [S, S]: the token before, from the second of the repeated tokens on."""
        rows, keys = self._grid
        return (rows > self.lead) & (keys == rows - 1)

    @property
    def _grid(self) -> tuple[Tensor, Tensor]:
        places = torch.arange(self.length)
        return places[:, None], places[None]

    def uniform(self, wanted: Tensor) -> float:
        """The score of a head that looks at all tokens so far alike."""
        weights = wanted.double() / torch.arange(1, self.length + 1)[:, None]
        return float(weights.sum(dim=1)[wanted.any(dim=1)].mean())


def read_scores(
    reader: HeadReader, texts: Tensor, patterns: Patterns, circuits: Circuits, told: Callable[[int], None]
) -> dict[str, NDArray[np.float64]]:
    """Scores [n, L, H] of every text [n, S] and head.

    prefix: mean attention from a token, second repeat on, to all tokens that followed the same token before.
    previous: mean attention to the token before. direct: over the tokens of the last repeat that look most at
    another than the first token, how far the head's output, straight to the unembedding, lifts the token that
    is looked at most above the mean of the vocabulary, in standard deviations over the vocabulary; nan
    where the first token is looked at most throughout, or the circuits could not be read.
    """
    masks = {"prefix": patterns.prefix, "previous": patterns.previous}
    shape = (len(texts), reader.layers, reader.heads)
    found = {name: torch.zeros(shape, dtype=torch.float64) for name in masks}
    lifts, lifted = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape)
    last = patterns.length - patterns.period
    done = 0
    for some in batches(texts, ROWS):
        here = slice(done, done + len(some))

        def look(seen: Seen, some: Tensor = some, here: slice = here) -> None:
            for name, mask in masks.items():
                wanted = mask[seen.rows.cpu()]
                summed = torch.einsum("bhrs,rs->bh", seen.weights, wanted.to(seen.weights))
                found[name][here, seen.layer] += (summed / masks[name].any(dim=1).sum()).double().cpu()
            rows = seen.rows >= last
            if circuits.unembedded and rows.any():
                part = Seen(seen.layer, seen.rows[rows], seen.weights[:, :, rows], seen.values)
                z, counts = direct_lift(part, some, circuits)
                lifts[here, seen.layer] += z.double().cpu()
                lifted[here, seen.layer] += counts.cpu()

        reader.forward(some.to(reader.trunk.device), look)
        done += len(some)
        told(done)
    direct = torch.where(lifted > 0, lifts / lifted.clamp(min=1), torch.nan)
    return {name: value.numpy() for name, value in (*found.items(), ("direct", direct))}


def direct_lift(seen: Seen, tokens: Tensor, circuits: Circuits) -> tuple[Tensor, Tensor]:
    """[B, H] sums, and over how many rows, of the lift of the token that a row looks at most; see
    `read_scores`."""
    most = seen.weights.argmax(dim=-1)  # [B, H, R]
    ids = torch.gather(tokens[:, None].to(most.device).expand(-1, most.shape[1], -1), 2, most)
    z = circuits.lift(seen.layer, seen.mixed, ids)
    counted = most > 0
    return (z * counted).sum(dim=-1), counted.sum(dim=-1)
