"""What is fed forward: one layer for all rows, or experts, each for the rows that were sent to it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from icl.engine.trunks.fused.blocks import Experts, Feed

FEW = 64
"""Rows of an expert up to which a product waits for its weights, and more rows cost little."""


def inner(feed: Feed, x: Tensor) -> Tensor:
    """x [T, d] -> what `down` is given."""
    if feed.gate is None:
        return feed.up.activated(x, feed.activation)
    return feed.up.times(x, feed.gate.activated(x, feed.activation))


def mixed(experts: Experts, x: Tensor) -> Tensor:
    """x [T, d] through the experts of each row. One product an expert over all its rows; sums in fp32.

    A row's experts are added in one order, whatever else is there. Rows are filled up to one of few counts by
    some that weigh nothing: a kernel is compiled for each, which took ten times as long as using it.
    """
    weights, chosen = routed(experts, x)
    counts = torch.bincount(chosen.flatten(), minlength=len(experts.experts)).tolist()
    order = torch.argsort(chosen.flatten(), stable=True)
    rows, shares = (order // experts.chosen).split(counts), weights.flatten()[order, None].split(counts)  # type: ignore[no-untyped-call]
    total = x.new_zeros(x.shape, dtype=torch.float32)
    for feed, count, mine, share in zip(experts.experts, counts, rows, shares, strict=True):
        if count:
            given = pad(x[mine], (0, 0, 0, filled(count) - count))
            found = feed.down(inner(feed, given))[:count]
            total.index_add_(0, mine, found * share)
    if experts.shared is not None and experts.shared_gate is not None:
        share = torch.sigmoid(linear(x.float(), experts.shared_gate))
        total.addcmul_(experts.shared.down(inner(experts.shared, x)).float(), share)
    return total.to(x.dtype)


def filled(count: int) -> int:
    """The next power of two, from FEW on the next of four between two of them."""
    whole = 1 << (count - 1).bit_length()
    return whole if count <= FEW else -(-count // (whole // 8)) * (whole // 8)


def routed(experts: Experts, x: Tensor) -> tuple[Tensor, Tensor]:
    """x [T, d] -> weights and numbers of the chosen experts [T, chosen], the largest first; in fp32."""
    weights, chosen = torch.softmax(linear(x.float(), experts.router), dim=-1).topk(experts.chosen, dim=-1)
    return (weights / weights.sum(-1, keepdim=True) if experts.renormalised else weights), chosen
