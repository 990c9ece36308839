"""What is fed forward: one layer for all rows, or experts, each for the rows that were sent to it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from icl.engine.trunks.fused.blocks import Experts, Feed


def inner(feed: Feed, x: Tensor) -> Tensor:
    """x [T, d] -> what `down` is given."""
    if feed.gate is None:
        return feed.up.activated(x, feed.activation)
    return feed.up.times(x, feed.gate.activated(x, feed.activation))


def mixed(experts: Experts, x: Tensor) -> Tensor:
    """x [T, d] through the experts of each row. One product an expert over all its rows; sums in fp32.

    A row's experts are added in one order, whatever else is there.
    """
    weights, chosen = routed(experts, x)
    order = torch.argsort(chosen.flatten(), stable=True)
    rows, shares = order // experts.chosen, weights.flatten()[order, None]
    total = x.new_zeros(x.shape, dtype=torch.float32)
    low = 0
    for expert, count in enumerate(torch.bincount(chosen.flatten(), minlength=len(experts.experts)).tolist()):
        if count:
            mine = rows[low : low + count]
            feed = experts.experts[expert]
            found = feed.down(inner(feed, x[mine])).float()
            total.index_add_(0, mine, found.mul_(shares[low : low + count]))
            low += count
    if experts.shared is not None and experts.shared_gate is not None:
        share = torch.sigmoid(linear(x.float(), experts.shared_gate))
        total.addcmul_(experts.shared.down(inner(experts.shared, x)).float(), share)
    return total.to(x.dtype)


def routed(experts: Experts, x: Tensor) -> tuple[Tensor, Tensor]:
    """x [T, d] -> weights and numbers of the chosen experts [T, chosen], the largest first; in fp32."""
    weights, chosen = torch.softmax(linear(x.float(), experts.router), dim=-1).topk(experts.chosen, dim=-1)
    return (weights / weights.sum(-1, keepdim=True) if experts.renormalised else weights), chosen
