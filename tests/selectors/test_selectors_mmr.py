"""Maximal marginal relevance, worked by hand and against the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from icl.encoders import load_encoder
from icl.encoders.bertscore import naive_f1
from icl.encoders.hashed import HashEncoder
from icl.errors import ConfigError
from icl.protocols import Resources, selectors
from icl.seeding import generator
from icl.selectors.knn import KNN
from icl.selectors.mmr import MMR
from icl.types import Demonstration, Example, Query, Task, Template

from .vectors import Table, plane


def ids(chosen: tuple[Demonstration, ...]) -> list[str]:
    return [d.example.id for d in chosen]


def by_definition(vectors: np.ndarray, query: np.ndarray, k: int, trade: float) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < k:
        values = [
            -np.inf
            if at in chosen
            else trade * (vectors[at] @ query)
            - (1 - trade) * max((vectors[s] @ vectors[at] for s in chosen), default=0.0)
            for at in range(len(vectors))
        ]
        chosen.append(int(np.argmax(values)))
    return chosen


def test_a_case_worked_by_hand(resources: Resources) -> None:
    """Query at 0 degrees; examples at 10, 15, 30 and 60.

    First 10 (cos 0.985). Then 0.5 cos(a) - 0.5 cos(a - 10): 15: -0.0151, 30: -0.0368, 60 on the
    same side: -0.0714, -40 on the other: 0.5 * 0.766 - 0.5 * 0.643 = 0.0616. So -40 is second.
    """
    pool, encoder = plane({"a": 10, "b": 15, "c": 30, "d": 60, "e": -40})
    selector = MMR().fit(pool, replace(resources, encoder=encoder))
    (row,) = selector.select([Query("q", {"text": "0"})], 2)
    assert ids(row) == ["a", "e"]
    cos = lambda degrees: np.cos(np.radians(degrees))  # noqa: E731
    assert row[0].score == pytest.approx(0.5 * cos(10), abs=1e-5)
    assert row[1].score == pytest.approx(0.5 * cos(40) - 0.5 * cos(50), abs=1e-5)
    assert row[0].why == pytest.approx({"similarity": cos(10), "redundancy": 0.0}, abs=1e-5)
    assert row[1].why == pytest.approx({"similarity": cos(40), "redundancy": cos(50)}, abs=1e-5)


@pytest.mark.parametrize("trade", [0.0, 0.3, 0.5, 0.9])
def test_follows_the_definition(resources: Resources, trade: float) -> None:
    table = Table(generator(2, "tests.mmr").normal(size=(40, 6)))
    queries = [Query(f"q{at}", {"text": str(at)}) for at in range(30, 40)]
    selector = MMR(lambda_=trade, prefetch=30).fit(table.pool[:30], replace(resources, encoder=table))
    for query, row in zip(queries, selector.select(queries, 6), strict=True):
        expected = by_definition(table.rows[:30], table.rows[int(query.text)], 6, trade)
        # The first of the prefetch is the nearest; with lambda 0 every first choice ties at 0.
        assert trade == 0.0 or ids(row) == [f"p{at}" for at in expected]
        scores = [d.score or 0.0 for d in row[1:]]
        assert scores == sorted(scores, reverse=True)


def test_lambda_1_is_knn(pool: list[Example], resources: Resources) -> None:
    queries = [example.query for example in pool]
    mmr = MMR(lambda_=1.0).fit(pool, resources).select(queries, 5)
    assert [ids(row) for row in mmr] == [ids(row) for row in KNN().fit(pool, resources).select(queries, 5)]


def test_only_the_prefetch_is_looked_at(resources: Resources) -> None:
    pool, encoder = plane({"a": 10, "b": 15, "c": 30, "d": 60, "e": -90})
    selector = MMR(prefetch=3).fit(pool, replace(resources, encoder=encoder))
    (row,) = selector.select([Query("q", {"text": "0"})], 3)
    assert sorted(ids(row)) == ["a", "b", "c"]
    with pytest.raises(ConfigError, match=r"4 demonstrations asked for, but selector 'mmr' .* prefetch = 3"):
        selector.select([Query("q", {"text": "0"})], 4)


def test_duplicates_of_the_query_take_no_place_in_the_prefetch(
    pool: list[Example], resources: Resources
) -> None:
    # p0 and p7 are equal but for their case: p0 as a query leaves six.
    selector = MMR(prefetch=6).fit(pool, resources)
    (row,) = selector.select([pool[0].query], 6)
    assert sorted(ids(row)) == ["p1", "p2", "p3", "p4", "p5", "p6"]
    with pytest.raises(ConfigError, match="query 'p0' leaves 6"):
        MMR().fit(pool, resources).select([pool[0].query], 7)


@pytest.mark.parametrize(
    "given", [{"lambda": 1.5}, {"prefetch": 0}, {"index": "tree"}, {"similarity": "dot"}]
)
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"selector 'mmr': {next(iter(given))} is .*allowed"):
        selectors.create("mmr", given)


def test_no_encoder_is_a_clear_error(pool: list[Example], resources: Resources) -> None:
    assert isinstance(resources.encoder, HashEncoder)
    with pytest.raises(ConfigError, match="'mmr' needs an encoder"):
        MMR().fit(pool, replace(resources, encoder=None))


def test_bertscore_with_the_definition(pool: list[Example], resources: Resources) -> None:
    """All pairs one by one, over the words of the hashed encoder."""
    encoder = HashEncoder()
    selector = MMR(similarity="bertscore").fit(pool, resources)
    query = Query("q", {"text": "superb acting in a funny film"})
    (row,) = selector.select([query], 5)
    tokens = {example.id: encoder.encode_tokens([example.text])[0] for example in pool}
    asked = encoder.encode_tokens([query.text])[0]
    chosen: list[str] = []
    for demonstration in row:
        values = {
            name: 0.5 * naive_f1(asked, own)
            - 0.5 * max((naive_f1(tokens[other], own) for other in chosen), default=0.0)
            for name, own in tokens.items()
            if name not in chosen
        }
        assert values[demonstration.example.id] == pytest.approx(max(values.values()), abs=2e-6)
        assert demonstration.score == pytest.approx(max(values.values()), abs=2e-6)
        assert demonstration.why["similarity"] == pytest.approx(
            naive_f1(asked, tokens[demonstration.example.id]), abs=2e-6
        )
        chosen.append(demonstration.example.id)


def test_bertscore_on_the_real_encoder(pool: list[Example], resources: Resources) -> None:
    encoder = load_encoder("minilm")
    if not encoder.source.startswith("package"):
        pytest.skip("the packaged MiniLM is not installed")
    queries = [Query("q", {"text": "what a warm, funny film"}), pool[0].query]
    selector = MMR(similarity="bertscore", prefetch=6).fit(pool, replace(resources, encoder=encoder))
    whole = selector.select(queries, 4)
    assert ids(whole[0])[0] == "p0"
    assert "p7" not in ids(whole[0])[:2], "what differs by case and a mark alone is redundant"
    assert not {"p0", "p7"} & set(ids(whole[1]))
    assert all(0 < d.why["similarity"] <= 1 for row in whole for d in row)  # type: ignore[operator]
    by_cosine = MMR(prefetch=6).fit(pool, replace(resources, encoder=encoder)).select(queries, 4)
    assert by_cosine[0][0].score != whole[0][0].score


def test_bertscore_without_token_vectors_is_a_clear_error() -> None:
    pool, encoder = plane({"a": 10, "b": 15})
    resources = Resources(Task("t", "string", Template("{{ text }}"), ("text",)), encoder=encoder)
    with pytest.raises(ConfigError, match="'mmr' with similarity: bertscore: encoder 'plane' has no vectors"):
        MMR(similarity="bertscore").fit(pool, resources)
