"""Queries that share a set of demonstrations: what is worked out for a set is worked out once.

A set is the same whatever order its selector gave it in. Its canonical order is that of the ids,
so that neither the selector's order nor the other queries of the batch have a say in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from icl.orderers.shared.permutations import Order
from icl.types import Demonstration, Example


@dataclass(slots=True)
class DemonstrationSet:
    """One distinct set and the queries that are given it."""

    name: str
    """The ids in canonical order: names the random streams of the set."""
    demonstrations: tuple[Demonstration, ...]
    """In canonical order, without the scores, which belong to a query."""
    members: list[tuple[int, Order]] = field(default_factory=list)
    """(position of the query, canonical position -> index in the query's own list)."""

    def arranged(self, order: Order) -> list[Demonstration]:
        """The demonstrations in `order`, an order of canonical positions."""
        return [self.demonstrations[at] for at in order]


def distinct_sets(demonstrations: Sequence[Sequence[Demonstration]]) -> list[DemonstrationSet]:
    """The distinct sets of two or more demonstrations, by first appearance."""
    found: dict[tuple[tuple[str, ...], ...], DemonstrationSet] = {}
    for query, chosen in enumerate(demonstrations):
        if len(chosen) < 2:
            continue
        contents = [_content(d.example) for d in chosen]
        canonical = sorted(range(len(chosen)), key=lambda at: (contents[at], at))
        key = tuple(contents[at] for at in canonical)
        if key not in found:
            name = "\x1f".join(chosen[at].example.id for at in canonical)
            found[key] = DemonstrationSet(name, tuple(Demonstration(chosen[at].example) for at in canonical))
        found[key].members.append((query, tuple(canonical)))
    return list(found.values())


def _content(example: Example) -> tuple[str, ...]:
    """The id first; a method may write different texts under one id for different queries."""
    return (example.id, example.text, example.target, example.rationale or "")
