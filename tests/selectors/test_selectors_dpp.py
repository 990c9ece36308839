"""Determinantal point processes against enumeration of every set."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from icl.errors import ConfigError
from icl.protocols import Resources, selectors
from icl.seeding import generator
from icl.selectors.dpp import DPP
from icl.selectors.shared.determinants import greedy_map, sample_k_dpp
from icl.types import Demonstration, Example, Query

from .vectors import Table, plane

QUERY = Query("q", {"text": "0"})


def ids(chosen: tuple[Demonstration, ...]) -> list[str]:
    return [d.example.id for d in chosen]


def ceil_kernel(
    vectors: NDArray[np.float64], query: NDArray[np.float64], trade: float
) -> NDArray[np.float64]:
    """CEIL: r = (q.e + 1) / 2 - max, r <- exp(r / 2 lambda), L = r S r with S = (E E^T + 1) / 2."""
    relevance = (vectors @ query + 1) / 2
    relevance = np.exp((relevance - relevance.max()) / (2 * trade))
    return np.outer(relevance, relevance) * (vectors @ vectors.T + 1) / 2


def determinants(kernel: NDArray[np.float64], k: int) -> dict[tuple[int, ...], float]:
    return {s: float(np.linalg.det(kernel[np.ix_(s, s)])) for s in combinations(range(len(kernel)), k)}


def test_four_points_best_set_by_enumeration(resources: Resources) -> None:
    """Twins near the query, and two on the same side farther off: the twins do not go together."""
    angles = {"a": 3.0, "b": 8.0, "c": 50.0, "d": 100.0}
    pool, encoder = plane(angles)
    unit = encoder.encode([str(a) for a in angles.values()]).astype(np.float64)
    by_set = determinants(ceil_kernel(unit, np.array([1.0, 0.0]), 0.5), 2)
    best = max(by_set, key=by_set.__getitem__)
    assert best == (0, 3), "by enumeration of the six sets"
    (row,) = DPP(lambda_=0.5).fit(pool, replace(resources, encoder=encoder)).select([QUERY], 2)
    assert ids(row) == ["a", "d"]
    gains = sum(float(d.why["gain"]) for d in row)
    assert gains == pytest.approx(np.log(by_set[best]), abs=1e-4), "the gains add up to log det(L_S)"
    # With a small lambda relevance is all that counts.
    (row,) = DPP(lambda_=0.01).fit(pool, replace(resources, encoder=encoder)).select([QUERY], 2)
    assert ids(row) == ["a", "b"]


@pytest.mark.parametrize("seed", range(5))
def test_a_plane_holds_three_however_it_lies(resources: Resources, seed: int) -> None:
    """Vectors of a plane span 2 dimensions and S adds one (the + 1): a fourth adds no volume at all, only
    what rounding leaves, and that is not chosen."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(384, 2)))[0]
    table = Table(rng.normal(size=(6, 2)) @ basis.T)
    selector = DPP(lambda_=0.5).fit(table.pool[1:], replace(resources, encoder=table))
    (row,) = selector.select([QUERY], 5)
    assert len(row) == 3
    assert min(float(d.why["gain"]) for d in row) > np.log(1e-7)


def test_relevance_is_of_the_definition(resources: Resources) -> None:
    pool, encoder = plane({"a": 0.0, "b": 90.0})
    (row,) = DPP(lambda_=0.1).fit(pool, replace(resources, encoder=encoder)).select([QUERY], 2)
    assert row[0].why["relevance"] == 1.0
    assert row[1].why["relevance"] == pytest.approx(np.exp(-0.5 / 0.2), rel=1e-4)
    assert row[1].score == pytest.approx(0.0, abs=1e-6), "the score is the cosine"


def test_greedy_gain_is_the_best_ratio_of_determinants() -> None:
    factors = generator(1, "tests.dpp").normal(size=(5, 12, 7))
    kernels = factors @ factors.transpose(0, 2, 1)
    columns, gains = greedy_map(kernels, 5)
    for kernel, row, gain in zip(kernels, columns.tolist(), gains.tolist(), strict=True):
        before = 1.0
        for step, taken in enumerate(row):
            chosen = row[:step]
            ratios = {
                at: np.linalg.det(kernel[np.ix_([*chosen, at], [*chosen, at])]) / before
                for at in range(12)
                if at not in chosen
            }
            assert taken == max(ratios, key=ratios.__getitem__)
            assert np.log(ratios[taken]) == pytest.approx(gain[step], abs=1e-6)
            before *= ratios[taken]


def test_epsilon_stops_where_the_rank_ends() -> None:
    factors = generator(2, "tests.dpp").normal(size=(2, 9, 3))
    kernels = factors @ factors.transpose(0, 2, 1)
    kernels[1] += np.eye(9)
    columns, _ = greedy_map(kernels, 5)
    assert (columns[0, 3:] == -1).all()
    assert len(set(columns[0, :3].tolist())) == 3
    assert (columns[1] >= 0).all(), "a row that stops does not stop the others"


def test_copies_of_an_example_are_not_shown_twice(resources: Resources) -> None:
    pool, encoder = plane({"a": 10, "a2": 10.0, "b": 50, "b2": 50.0})
    (row,) = DPP(lambda_=1.0).fit(pool, replace(resources, encoder=encoder)).select([QUERY], 4)
    assert ids(row) == ["a", "b"], "a kernel of rank 2 gives two, not two pairs of copies"


def test_samples_are_drawn_in_proportion_to_the_determinant() -> None:
    unit = Table(generator(3, "tests.dpp").normal(size=(4, 3))).rows.astype(np.float64)
    kernel = ceil_kernel(unit, unit[0], 1.0)
    by_set = determinants(kernel, 2)
    draws = 4000
    streams = [generator(0, "tests.dpp.sample", str(at)) for at in range(draws)]
    columns, _ = sample_k_dpp(np.repeat(kernel[None], draws, axis=0), 2, streams)
    counts = Counter(tuple(sorted(row)) for row in columns.tolist())
    total = sum(by_set.values())
    for some, volume in by_set.items():
        expected = volume / total
        # 4 standard deviations of a binomial share.
        assert counts[some] / draws == pytest.approx(expected, abs=4 * (expected / draws) ** 0.5 + 1e-9)


def test_sampling_differs_by_query_and_follows_the_seed(pool: list[Example], resources: Resources) -> None:
    queries = [Query(f"q{at}", {"text": "a superb film"}) for at in range(20)]
    drawn = DPP(inference="sample", lambda_=1.0).fit(pool, resources).select(queries, 3)
    assert all(len(set(ids(row))) == 3 for row in drawn)
    assert len({tuple(ids(row)) for row in drawn}) > 3
    other = DPP(inference="sample", lambda_=1.0).fit(pool, replace(resources, seed=4)).select(queries, 3)
    assert other != drawn
    scores = [[d.score or 0.0 for d in row] for row in drawn]
    assert all(row == sorted(row, reverse=True) for row in scores), "most similar first"


def test_sampling_ends_with_the_rank() -> None:
    factor = generator(4, "tests.dpp").normal(size=(9, 3))
    columns, _ = sample_k_dpp((factor @ factor.T)[None], 5, [generator(0, "tests.dpp.rank")])
    assert (columns[0, 3:] == -1).all()
    assert len(set(columns[0, :3].tolist())) == 3


@pytest.mark.parametrize("given", [{"lambda": 0}, {"inference": "best"}, {"epsilon": -1}, {"prefetch": 2.5}])
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"selector 'dpp': {next(iter(given))} is .*allowed"):
        selectors.create("dpp", given)
