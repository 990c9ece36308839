"""Selectors that do not look at the query's text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from icl.errors import ConfigError
from icl.protocols import Resources
from icl.selectors.fixed import Fixed
from icl.selectors.knn import KNN
from icl.selectors.random import Random
from icl.selectors.zero_shot import ZeroShot
from icl.types import Demonstration, Example, Query

QUERIES = [Query(f"q{at}", {"text": f"something new {at}"}) for at in range(200)]


def ids(chosen: tuple[Demonstration, ...]) -> list[str]:
    return [d.example.id for d in chosen]


def test_zero_shot_is_empty(pool: list[Example], resources: Resources) -> None:
    assert ZeroShot().fit(pool, resources).select(QUERIES[:3], 99) == [(), (), ()]


def test_random_is_uniform_over_the_pool(pool: list[Example], resources: Resources) -> None:
    chosen = Random().fit(pool, resources).select(QUERIES, 3)
    counts = Counter(name for row in chosen for name in ids(row))
    # 75 expected; 4 standard deviations of Binomial(200, 3/8) are 27.
    assert all(abs(counts[example.id] - 75) < 28 for example in pool)


def test_random_draws_are_nested_and_follow_the_seed(pool: list[Example], resources: Resources) -> None:
    few, many = (Random().fit(pool, resources).select(QUERIES, k) for k in (2, 5))
    assert all(ids(b)[:2] == ids(a) for a, b in zip(few, many, strict=True))
    assert few != Random().fit(pool, replace(resources, seed=4)).select(QUERIES, 2)


def test_random_fixed_is_one_draw_except_for_its_own_members(
    pool: list[Example], resources: Resources
) -> None:
    selector = Random(per_query=False).fit(pool, resources)
    everyone = {tuple(ids(row)) for row in selector.select(QUERIES, 4)}
    assert len(everyone) == 1
    member = everyone.pop()[0]
    twin = next(example for example in pool if example.id == member)
    (own,) = selector.select([twin.query], 4)
    assert member not in ids(own)
    assert len(own) == 4


def test_random_label_balanced(pool: list[Example], resources: Resources) -> None:
    first = Counter()
    for row in Random(label_balanced=True).fit(pool, resources).select(QUERIES, 4):
        assert Counter(d.example.target for d in row) == {"positive": 2, "negative": 2}
        first[row[0].example.target] += 1
    assert min(first.values()) > 70, "each label should come first about as often"


def test_a_label_without_its_share_is_refused(pool: list[Example], resources: Resources) -> None:
    """Three of the eight are negative: seven shots are three of each and one more, eight are four of each."""
    for selector in (Random(label_balanced=True), KNN(label_balanced=True)):
        fitted = selector.fit(pool, resources)
        (row,) = fitted.select(QUERIES[:1], 7)
        assert Counter(d.example.target for d in row) == {"positive": 4, "negative": 3}
        message = (
            r"8 demonstrations of 2 labels are 4 each or more, but label 'negative' has 3 .* 7 shots or fewer"
        )
        with pytest.raises(ConfigError, match=message) as caught:
            fitted.select(QUERIES[:1], 8)
        assert "\n" not in str(caught.value)
    missing = [example for example in pool if example.target == "positive"]
    with pytest.raises(ConfigError, match=r"label 'negative' has 0 .* 1 shots or fewer"):
        Random(label_balanced=True).fit(missing, resources).select(QUERIES[:1], 2)


def test_fixed_takes_ids_in_their_order(pool: list[Example], resources: Resources) -> None:
    selector = Fixed(ids=["p5", "p2", "p3"]).fit(pool, resources)
    assert [ids(row) for row in selector.select(QUERIES[:2], 2)] == [["p5", "p2"]] * 2
    assert ids(Fixed().fit(pool, resources).select(QUERIES[:1], 3)[0]) == ["p0", "p1", "p2"]


def test_fixed_skips_the_query(pool: list[Example], resources: Resources) -> None:
    selector = Fixed(ids=["p5", "p2"]).fit(pool, resources)
    assert ids(selector.select([pool[5].query], 1)[0]) == ["p2"]
    assert ids(selector.select([pool[5].query], 2)[0]) == ["p2"]
    # p7 is p0 in other letters.
    assert ids(Fixed().fit(pool, resources).select([pool[7].query], 2)[0]) == ["p1", "p2"]


@pytest.mark.parametrize(
    ("given", "message"),
    [(["p0", "p99"], "no example 'p99'"), (["p0", "p1", "p0"], "names 'p0' twice")],
)
def test_fixed_refuses_wrong_ids(
    pool: list[Example], resources: Resources, given: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Fixed(ids=given).fit(pool, resources)


def test_k_beyond_the_pool_names_both_numbers(pool: list[Example], resources: Resources) -> None:
    with pytest.raises(ConfigError, match="9 demonstrations asked for, but the pool has 8"):
        Random().fit(pool, resources).select(QUERIES[:1], 9)
    with pytest.raises(ConfigError, match="3 demonstrations asked for, but selector 'fixed' has 2 ids"):
        Fixed(ids=["p0", "p1"]).fit(pool, resources).select(QUERIES[:1], 3)


def test_k_beyond_what_exclusion_leaves_names_the_query(pool: list[Example], resources: Resources) -> None:
    with pytest.raises(ConfigError, match="7 demonstrations asked for, but query 'p0' leaves 6"):
        Random().fit(pool, resources).select([pool[0].query], 7)
