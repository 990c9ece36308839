"""Intervals that cover, p-values that are uniform under the null, numbers worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from icl.leaderboard.intervals import TEST_FLOOR, p_of_difference, spread
from icl.leaderboard.layout import Layout
from icl.leaderboard.measures import SumValues, mean_values
from icl.leaderboard.statistics import Resampler, holm, mcnemar, pseudo_values
from icl.seeding import generator


def values(scores) -> SumValues:
    """A seeds x queries array of scores as values; NaN = absent."""
    scores = np.atleast_2d(np.asarray(scores, dtype=float))
    present = ~np.isnan(scores)
    sums = np.stack([np.where(present, scores, 0.0), present], axis=-1)
    return SumValues(sums, lambda t: t[..., 0] / t[..., 1], scores)


def test_interval_of_one_seed_is_wilsons():
    scores = generator(0, "scores").random((1, 400)) < 0.7
    interval = Resampler().interval(values(scores))
    known = stats.binomtest(int(scores.sum()), 400).proportion_ci(0.95, "wilson")
    assert interval.value == pytest.approx(scores.mean())
    # Student's t of 399 degrees of freedom and the imagined queries move it in the third digit.
    assert (interval.low, interval.high) == pytest.approx((known.low, known.high), abs=0.001)


def test_variances_by_hand():
    # Two seeds, two queries; rows 1 1 and 0 1. Imagined: 0 and 1, a quarter each, in both seeds.
    found = spread(np.array([[1.0, 1.0], [0.0, 1.0]]), (0.0, 1.0))
    total = 2.5
    centre = (0.5 + 1.0 + 0.25) / total  # queries' means are 0.5 and 1
    queries = ((0.5 - centre) ** 2 + (1 - centre) ** 2 + 0.25 * (centre**2 + (1 - centre) ** 2)) / 1 / total
    seeds = np.array([2.25 / total, 1.25 / total])
    between = seeds.var(ddof=1) / 2
    rest = 0.0
    for row, seed in zip([[1, 1], [0, 1]], seeds, strict=True):
        for score, query in zip(row, (0.5, 1.0), strict=True):
            rest += (score - query - seed + centre) ** 2
        rest += 0.25 * sum((end - end - seed + centre) ** 2 for end in (0.0, 1.0))
    noise = rest / (1 * 1 * 2 * total)
    assert found.queries == pytest.approx(queries)
    assert found.seeds == pytest.approx(max(between - noise, between / 10))
    # t with one degree of freedom for both: 12.706
    assert found.half_width(0.95) == pytest.approx(12.7062 * np.sqrt(queries + found.seeds), rel=1e-4)


def test_a_shift_between_seeds_widens_the_interval():
    rng = generator(1, "shift")
    same = (rng.random((3, 200)) < 0.6).astype(float)
    apart = np.stack([rng.random(200) < p for p in (0.4, 0.6, 0.8)]).astype(float)
    narrow, wide = (Resampler().interval(values(m)) for m in (same, apart))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_seeds_that_repeat_one_another_add_nothing():
    scores = generator(2, "joint").random((1, 150)) < 0.5
    one = Resampler().interval(values(scores))
    three = Resampler().interval(values(np.repeat(scores, 3, axis=0)))
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=1e-9)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
@pytest.mark.parametrize("queries", [5, 50, 300])
def test_one_mistake_more_is_never_surer_of_a_high_accuracy(seeds, queries):
    lows = []
    for mistakes in range(3):
        scores = np.ones((seeds, queries))
        scores[0, :mistakes] = 0.0
        interval = Resampler().interval(values(scores))
        assert interval.low < interval.value
        lows.append(interval.low)
        mirrored = Resampler().interval(values(1.0 - scores))
        assert mirrored.high == pytest.approx(1 - interval.low)
    assert lows == pytest.approx(sorted(lows, reverse=True), abs=1e-9)


def test_all_right_is_near_the_exact_binomial_bound():
    interval = Resampler().interval(values(np.ones((1, 60))))
    assert interval.high == 1.0
    assert interval.low == pytest.approx(stats.binomtest(60, 60).proportion_ci(0.95).low, abs=0.01)


@pytest.mark.parametrize("scores", [np.ones((3, 40)), generator(3, "same").random((3, 40)) < 0.5])
def test_rows_without_a_disagreement_still_have_a_width(scores):
    interval = Resampler().difference(values(scores), values(scores))
    assert interval.value == 0.0
    # Of 40 queries none differs: up to about three could in a sample as large.
    assert 0.02 < interval.high == -interval.low < 0.075


def test_a_difference_on_every_query_is_not_certain():
    interval = Resampler().difference(values(np.ones((1, 6))), values(np.zeros((1, 6))))
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low < 0.6


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda s: st.lists(
            st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=s, max_size=s), min_size=1, max_size=12
        )
    )
)
def test_interval_holds_the_mean_has_a_width_and_stays_in_range(columns):
    scores = np.array(columns).T
    interval = Resampler().interval(values(scores))
    assert interval.value == pytest.approx(scores.mean())
    assert 0.0 <= interval.low <= interval.value + 1e-12
    assert interval.value - 1e-12 <= interval.high <= 1.0
    assert interval.high - interval.low > 0.01
    flipped = Resampler().interval(values(1.0 - scores))
    assert (1 - flipped.high, 1 - flipped.low) == pytest.approx((interval.low, interval.high))


def test_metrics_outside_zero_and_one_are_not_cut():
    interval = Resampler().interval(values(10 + generator(4, "wide").standard_normal((2, 50))))
    assert interval.low < interval.value < interval.high
    assert interval.low > 5


def test_pseudo_values_of_a_mean_are_its_scores_and_of_a_ratio_tukeys():
    scores = generator(5, "pseudo").random((2, 9))
    as_mean = values(scores)
    without = SumValues(as_mean.sums, as_mean.reduce)  # the same metric, its scores not told
    assert pseudo_values(without) == pytest.approx(scores)
    squared = SumValues(as_mean.sums, lambda t: (t[..., 0] / t[..., 1]) ** 2)
    mean, left = scores[0].mean(), np.delete(scores[0], 3).mean()
    assert pseudo_values(squared)[0, 3] == pytest.approx(9 * mean**2 - 8 * left**2)


@pytest.mark.parametrize(
    ("seeds", "spread_of_seeds", "least"),
    [(1, 0.0, 0.92), (2, 0.0, 0.92), (2, 0.4, 0.88), (3, 0.0, 0.92), (3, 0.4, 0.89), (5, 0.1, 0.92)],
)
def test_coverage_for_new_seeds_and_queries(seeds, spread_of_seeds, least):
    """Nominal 95 %; the binomial noise of 300 runs is 1.3 points. benchmarks/statistics.md has the table."""
    rng = generator(6, "coverage", f"{seeds} {spread_of_seeds}")
    rate, queries, runs = 0.8, 60, 300
    scale = np.sqrt(2 + spread_of_seeds**2)
    hits = 0
    for _ in range(runs):
        seed = spread_of_seeds * rng.standard_normal((seeds, 1))
        latent = seed + rng.standard_normal((1, queries)) + rng.standard_normal((seeds, queries))
        scores = stats.norm.ppf(rate) * scale + latent > 0
        hits += rate in Resampler().interval(values(scores))
    assert least <= hits / runs <= 0.998


def test_p_for_new_seeds_is_where_the_interval_meets_zero():
    rng = generator(7, "dual")
    ours, theirs = (rng.random((3, 80)) < p for p in (0.75, 0.5))
    table = ours.astype(float) - theirs
    p = p_of_difference(table)
    found = spread(table, (-1.0, 1.0), TEST_FLOOR)
    assert 0.0 < p < 1.0
    assert found.half_width(1 - p) == pytest.approx(table.mean() * 80 / 80.5, rel=1e-6)
    assert p_of_difference(table[:1]) == 1.0
    assert p_of_difference(np.zeros((2, 10))) == 1.0


def test_sign_flip_by_enumeration():
    ours = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 1, 1]], dtype=float)
    theirs = np.array([[0, 0, 1, 1, 0], [0, 0, 1, 0, 1]], dtype=float)
    gaps = (ours - theirs).mean(axis=0)
    observed = abs(gaps.mean())
    flips = [abs(np.mean(gaps * signs)) for signs in itertools.product((1, -1), repeat=5)]
    expected = np.mean([f >= observed - 1e-12 for f in flips])
    test = Resampler().test(values(ours), values(theirs), (ours == theirs).all(axis=0))
    assert test.name == "sign-flip permutation, exact"
    assert test.p == pytest.approx(expected)


def test_monte_carlo_agrees_with_the_exact_test():
    rng = generator(6, "monte carlo")
    ours, theirs = rng.random((2, 12)), rng.random((2, 12)) - 0.2
    same = [False] * 12
    exact = Resampler(4096).test(values(ours), values(theirs), same)
    drawn = Resampler(4000).test(values(ours), values(theirs), same)
    assert exact.name.endswith("exact")
    assert not drawn.name.endswith("exact")
    assert drawn.p == pytest.approx(exact.p, abs=0.03)


def test_one_seed_is_mcnemar_and_equals_the_exact_sign_flip():
    ours = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 0], dtype=float)
    theirs = np.array([0, 0, 0, 0, 0, 1, 1, 0, 1, 0], dtype=float)
    single = Resampler().test(values(ours), values(theirs), ours == theirs)
    # 5 against 1 discordant: 2 * (1 + 6) / 64
    assert (single.p, single.name) == (pytest.approx(14 / 64), "McNemar, exact")
    both = [np.stack([x, x]) for x in (ours, theirs)]
    assert Resampler().test(values(both[0]), values(both[1]), ours == theirs).p == pytest.approx(14 / 64)


def test_no_disagreement_no_evidence():
    scores = values(np.ones((2, 8)))
    assert Resampler(100).test(scores, scores, [True] * 8).p == 1.0
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize("pair", [(1, 0), (3, 3), (4, 9), (61, 40), (700, 812)])
def test_mcnemar_is_the_binomial_test(pair):
    assert mcnemar(*pair) == pytest.approx(stats.binomtest(pair[0], sum(pair)).pvalue, rel=1e-9)


@pytest.mark.parametrize("kept", [10**9, 0], ids=["kept", "drawn again"])
def test_exchanges_are_one_stream_a_block_however_few_are_looked_at_at_once(monkeypatch, kept):
    monkeypatch.setattr("icl.leaderboard.statistics.AT_ONCE", 13 * 70)
    monkeypatch.setattr("icl.leaderboard.statistics.KEPT", kept)
    resampler, queries = Resampler(resamples=2_300, seed=5), 13
    for _ in range(2):
        pieces = list(resampler._exchanges(queries, np.arange(queries), exact=False))
        assert max(map(len, pieces)) == 70
        blocks = [
            generator(5, "permutation", f"13/{i}").integers(2, size=(n, queries))
            for i, n in enumerate((1_000, 1_000, 300))
        ]
        assert np.array_equal(np.concatenate(pieces), np.concatenate(blocks))
    assert bool(resampler._blocks) == bool(kept)


def test_p_is_uniform_under_the_null():
    rng = generator(7, "null")
    ps = []
    for _ in range(300):
        # Exchangeable by query: a common query effect, independent noise, the same law for both.
        common = rng.normal(0, 1, (1, 40))
        ours, theirs = (common + rng.normal(0, 1, (3, 40)) for _ in range(2))
        ps.append(Resampler(300).test(values(ours), values(theirs), [False] * 40).p)
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    assert 0.01 <= np.mean(np.array(ps) <= 0.05) <= 0.09


def test_power_against_a_real_difference():
    rng = generator(8, "power")
    base = (rng.random((3, 200)) < 0.6).astype(float)
    better = np.maximum(base, rng.random((3, 200)) < 0.25)
    assert Resampler(2000).test(values(better), values(base), [False] * 200).p < 0.001


def test_absent_predictions_count_for_nothing():
    full = generator(9, "mask").random((2, 30))
    holed = full.copy()
    holed[1, 10:] = np.nan
    interval = Resampler(500).interval(values(holed))
    assert interval.value == pytest.approx((full[0].mean() + full[1, :10].mean()) / 2)
    assert interval.low < interval.value < interval.high


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_p_and_bonferroni_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(p <= a <= min(1.0, p * len(ps)) + 1e-12 for p, a in zip(ps, adjusted, strict=True))
    for (p, a), (q, b) in itertools.combinations(zip(ps, adjusted, strict=True), 2):
        assert p == q or (a <= b if p < q else b <= a)


def test_mean_values_shape_of_an_empty_layout():
    assert mean_values(Layout((), (), ()), lambda p: 1.0).shape == (0, 0)
