"""What every selector keeps to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from icl.errors import ConfigError
from icl.protocols import ALL_KINDS
from icl.types import Demonstration, Query, TaskKind

GIVES_NONE = {"zero_shot"}
"""Selectors that ignore k."""
OWN_TARGETS = {"annotated"}
"""Selectors that show the pool's inputs with targets of their own."""
OWN_EXAMPLES = {"generated", "pvi"}
"""Selectors that show examples which the pool does not hold."""
ANY_K = {"generated"}
"""Selectors that need no pool, so that no k is beyond it."""
SHOWS_QUERIES = {"generated"}
"""Selectors that ask the model about the query itself (its inputs: a query has no gold)."""

Selected = list[tuple[Demonstration, ...]]


def select(case: Any, world: Any, queries: Sequence[Query], k: int, **changes: Any) -> Selected:
    """By a new selector with new resources."""
    return case.build().fit(world.pool, world.resources(**changes)).select(queries, k)


@pytest.mark.parametrize("k", [0, 1, 4, 9])
def test_k_different_examples_of_the_pool(selector_case: Any, world: Any, k: int) -> None:
    expected = 0 if selector_case.name in GIVES_NONE else k
    selected = select(selector_case, world, world.queries, k)
    assert len(selected) == len(world.queries)
    for row in selected:
        assert len({d.example.id for d in row}) == len(row) == expected
        if selector_case.name in OWN_TARGETS:
            inputs = {example.id: example.inputs for example in world.pool}
            assert all(d.example.inputs == inputs[d.example.id] for d in row)
        elif selector_case.name not in OWN_EXAMPLES:
            assert all(d.example in world.pool for d in row)


@pytest.mark.parametrize("kind", ["classification", "multiple_choice", "string"])
def test_never_the_query_or_a_duplicate(
    selector_case: Any, world_of: Callable[[TaskKind], Any], kind: TaskKind
) -> None:
    world = world_of(kind)
    most = len(world.pool) - 1
    if kind not in getattr(selector_case.build(), "kinds", ALL_KINDS):
        with pytest.raises(ConfigError, match=f"{selector_case.name}.*{world.task.name}.*{kind}") as caught:
            select(selector_case, world, world.queries[:3], 1)
        assert "\n" not in str(caught.value)
        return
    for row, query in zip(select(selector_case, world, world.queries[:3], most), world.queries, strict=False):
        assert world.forbidden[query.id] not in {d.example.id for d in row}


def test_deterministic_and_independent_of_the_batch(selector_case: Any, world: Any) -> None:
    queries = world.queries
    whole = select(selector_case, world, queries, 4)
    assert select(selector_case, world, queries, 4) == whole
    assert select(selector_case, world, queries[::-1], 4)[::-1] == whole
    selector = selector_case.build().fit(world.pool, world.resources())
    assert [selector.select([query], 4)[0] for query in queries] == whole, "one by one as in bulk"
    assert selector.select(queries, 4) == whole, "and again afterwards"


def test_the_tests_gold_makes_no_difference(selector_case: Any, world: Any) -> None:
    poisoned = [replace(example, target="poison", rationale="poison") for example in world.test]
    queries = [example.query for example in poisoned]
    assert select(selector_case, world, queries, 4) == select(selector_case, world, world.queries, 4)


def test_fit_returns_itself_and_can_be_repeated(selector_case: Any, world: Any) -> None:
    selector = selector_case.build()
    assert selector.fit(world.pool[::-1], world.resources()) is selector
    again = selector.fit(world.pool, world.resources()).select(world.queries, 3)
    assert again == select(selector_case, world, world.queries, 3), "nothing is left of the first fit"


def test_scores_and_reasons_can_be_written_down(selector_case: Any, world: Any) -> None:
    for row in select(selector_case, world, world.queries, 4):
        for demonstration in row:
            score, why = demonstration.score, dict(demonstration.why)
            assert score is None or (type(score) is float and math.isfinite(score))
            assert json.loads(json.dumps(why, allow_nan=False)) == why


def test_needs_say_all_it_uses(selector_case: Any, world: Any) -> None:
    names = {"model", "encoder", "renderer"}
    needs = selector_case.build().needs
    spare: dict[str, Any] = dict.fromkeys(names - needs)
    whole = select(selector_case, world, world.queries, 3)
    assert select(selector_case, world, world.queries, 3, **spare) == whole
    for name in sorted(needs):
        with pytest.raises(ConfigError, match=name):
            select(selector_case, world, world.queries, 3, **{name: None})


def test_more_than_the_pool_holds_is_refused(selector_case: Any, world: Any) -> None:
    if selector_case.name in GIVES_NONE:
        assert select(selector_case, world, world.queries, 99) == [()] * len(world.queries)
        return
    if selector_case.name in ANY_K:
        assert all(len(row) <= 99 for row in select(selector_case, world, world.queries, 99))
        return
    whole = "" if selector_case.name in OWN_EXAMPLES else str(len(world.pool))
    with pytest.raises(ConfigError, match=f"99 .*{whole}") as caught:
        select(selector_case, world, world.queries, 99)
    assert "\n" not in str(caught.value)


def test_no_queries(selector_case: Any, world: Any) -> None:
    assert select(selector_case, world, [], 4) == []


def test_the_model_is_asked_about_the_pool_alone(selector_case: Any, world: Any) -> None:
    """Fitting and choosing ask about no test item: what validates does so on a part of the pool."""
    resources = world.resources()
    selector_case.build().fit(world.pool, resources).select(world.queries, 4)
    asked = "\n".join(map(str, resources.model.requests)).replace("\\n", "\n")
    told = [q.id for q in world.queries if q.text not in {e.text for e in world.pool} and q.text in asked]
    assert bool(told) == (selector_case.name in SHOWS_QUERIES)
    assert bool(asked) <= ("model" in selector_case.build().needs)
