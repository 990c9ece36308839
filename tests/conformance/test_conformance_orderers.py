"""What every orderer keeps to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from icl.errors import ConfigError
from icl.types import Demonstration, Query

Sets = Sequence[Sequence[Demonstration]]


def chosen(world: Any) -> list[list[Demonstration]]:
    """Sets of 0 to 5 demonstrations, one a query, overlapping."""
    return [
        [
            Demonstration(example, float(-at))
            for at, example in enumerate(world.pool[8 + row : 8 + row + row % 6])
        ]
        for row in range(len(world.test))
    ]


def order(
    case: Any, world: Any, sets: Sets, queries: Sequence[Query], **changes: Any
) -> list[tuple[int, ...]]:
    return case.build().order(sets, queries, world.resources(**changes))


def test_a_permutation_for_each_query(orderer_case: Any, world: Any) -> None:
    sets = chosen(world)
    orders = order(orderer_case, world, sets, world.queries)
    assert [sorted(row) for row in orders] == [list(range(len(row))) for row in sets]
    assert all(type(row) is tuple and all(type(at) is int for at in row) for row in orders)


def test_deterministic_and_independent_of_the_batch(orderer_case: Any, world: Any) -> None:
    sets, queries = chosen(world), world.queries
    whole = order(orderer_case, world, sets, queries)
    assert order(orderer_case, world, sets, queries) == whole
    assert order(orderer_case, world, sets[::-1], queries[::-1])[::-1] == whole
    alone = [order(orderer_case, world, [row], [q])[0] for row, q in zip(sets, queries, strict=True)]
    assert alone == whole


def test_the_tests_gold_makes_no_difference(orderer_case: Any, world: Any) -> None:
    poisoned = [replace(example, target="poison", rationale="poison").query for example in world.test]
    whole = order(orderer_case, world, chosen(world), world.queries)
    assert order(orderer_case, world, chosen(world), poisoned) == whole


def test_needs_say_all_it_uses(orderer_case: Any, world: Any) -> None:
    needs = orderer_case.build().needs
    spare: dict[str, Any] = dict.fromkeys({"model", "encoder", "renderer"} - needs)
    whole = order(orderer_case, world, chosen(world), world.queries)
    assert order(orderer_case, world, chosen(world), world.queries, **spare) == whole
    for name in sorted(needs):
        with pytest.raises(ConfigError, match=name):
            order(orderer_case, world, chosen(world), world.queries, **{name: None})


def test_nothing_to_order(orderer_case: Any, world: Any) -> None:
    assert order(orderer_case, world, [], []) == []


def test_the_model_is_asked_about_the_pool_alone(orderer_case: Any, world: Any) -> None:
    """But for mdl, whose criterion is the query's own label entropy, none asks about a test item."""
    resources = world.resources()
    orderer_case.build().order(chosen(world), world.queries, resources)
    asked = "\n".join(map(str, resources.model.requests)).replace("\\n", "\n")
    told = [q.id for q in world.queries if q.text not in {e.text for e in world.pool} and q.text in asked]
    assert bool(told) == (orderer_case.name == "mdl")
    assert bool(asked) == ("model" in orderer_case.build().needs)
