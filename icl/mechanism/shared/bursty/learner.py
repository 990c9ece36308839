"""The decoder that reads pairs and names the label of the query; what it says in context and from its
weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from icl.mechanism.shared.bursty.data import PAIRS, Sequences, World, two_way, world
from icl.mechanism.shared.small import DEVIATION, Size, Trunk, begin

Streams: TypeAlias = Callable[[str, str], np.random.Generator]
"""A generator of its own for a purpose and an item, as `Work.generator`."""
ROWS = 512
"""Sequences at once where nothing is trained."""
LENGTH = 2 * PAIRS + 1


class PairDecoder(nn.Module):
    """Features and labels by turns, to logits [n, pairs + 1, labels] of the label behind each features."""

    def __init__(
        self, size: Size, dimension: int, labels: int, seed: int, deviation: float = DEVIATION
    ) -> None:
        super().__init__()
        self.features = nn.Linear(dimension, size.width)
        self.labels = nn.Embedding(labels, size.width)
        self.trunk = Trunk(size)
        self.answer = nn.Linear(size.width, labels)
        begin(self, seed, deviation)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """features: [n, pairs + 1, dimension]. labels: [n, pairs]."""
        seen = self.features(features)
        pairs = torch.stack([seen[:, :-1], self.labels(labels)], dim=2).flatten(1, 2)
        stream = self.trunk(torch.cat([pairs, seen[:, -1:]], dim=1))
        return cast(Tensor, self.answer(stream[:, ::2]))


@dataclass(frozen=True, slots=True)
class Setting:
    """One distribution of data. bursty: share of bursty sequences. zipf: exponent."""

    bursty: float
    zipf: float
    classes: int
    labels: int
    dimension: int
    noise: float
    batch_size: int
    every_label: bool
    streams: Streams

    @property
    def name(self) -> str:
        """Of streams and steps."""
        return f"bursty {self.bursty:g} zipf {self.zipf:g}"

    def world(self) -> World:
        """The same centres for every setting of a study, so that they differ in what is drawn alone."""
        return world(
            self.streams("classes", ""), self.classes, self.labels, self.dimension, self.noise, self.zipf
        )

    def loss(self, network: Any, step: int, of: World) -> Tensor:
        """Cross-entropy of the query's label over a fresh batch, with `every_label` of all labels."""
        rng = self.streams(f"sequences {self.name}", str(step))
        drawn = of.sequences(rng, self.batch_size, self.bursty)
        labels = torch.from_numpy(np.concatenate([drawn.labels, drawn.answer[:, None]], axis=1))
        first = 0 if self.every_label else PAIRS
        logits = _said(network, drawn)[:, first:]
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, first:].flatten().to(logits.device)
        )

    def look(self, network: nn.Module, of: World, number: int) -> dict[str, Any]:
        """Shares of `number` sequences that are answered right, over all labels, by name; `of two`: the
        higher of the labels 0 and 1 is the right one. The same sequences at every look."""
        asked = two_way(self.streams("two-way", ""), number, self.dimension, self.noise)
        absent = of.absent(self.streams(f"absent {self.zipf:g}", ""), number)
        usual = of.sequences(self.streams(f"as in training {self.name}", ""), number, self.bursty)
        logits = _logits(network, asked)
        shuffled = asked.shuffled(self.streams("shuffled", ""))
        return {
            "in context": _right(logits, asked),
            "in context, of two": _right(logits[:, :2], asked),
            "in context, shuffled labels": _right(_logits(network, shuffled), shuffled),
            "in weights": _right(_logits(network, absent), absent),
            "as in training": _right(_logits(network, usual), usual),
        }


def interval(share: float, number: int) -> tuple[float, float]:
    """Wilson's, 95 %, of a share of `number`."""
    found = binomtest(round(share * number), number).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def difference(one: float, other: float, number: int) -> tuple[float, float]:
    """Newcombe's interval, 95 %, of the difference of two shares, each of `number`."""
    (low, high), (other_low, other_high) = interval(one, number), interval(other, number)
    gap = one - other
    return (
        gap - math.hypot(one - low, other_high - other),
        gap + math.hypot(high - one, other - other_low),
    )


def _right(logits: Tensor, asked: Sequences) -> float:
    return float((logits.argmax(1).numpy() == asked.answer).mean())


def _logits(network: nn.Module, asked: Sequences) -> Tensor:
    parts = np.arange(0, len(asked.answer), ROWS)
    with torch.no_grad():
        return torch.cat([_said(network, _part(asked, slice(at, at + ROWS)))[:, -1].cpu() for at in parts])


def _part(asked: Sequences, rows: slice) -> Sequences:
    return Sequences(asked.features[rows], asked.labels[rows], asked.answer[rows], asked.classes[rows])


def _said(network: Any, asked: Sequences) -> Tensor:
    device = next(network.parameters()).device
    return cast(
        Tensor,
        network(torch.from_numpy(asked.features).to(device), torch.from_numpy(asked.labels).to(device)),
    )
