"""Published mixing rates by hand, and long draws counted against them."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from icl.mixing import BLOCK, Group, MixSource, draws, rates, repeats, within_rates


def sources(*sizes: int) -> list[MixSource]:
    return [MixSource(f"s{at}", size) for at, size in enumerate(sizes)]


def test_proportional_with_a_cap_is_that_of_flan() -> None:
    # min(100, 3000), min(3000, 3000), min(60000, 3000) of 6,100
    assert within_rates(sources(100, 3000, 60_000), cap=3000) == pytest.approx(
        [100 / 6100, 3000 / 6100, 3000 / 6100]
    )


def test_temperature_flattens_after_the_cap() -> None:
    # 16 and 81 under T = 2: 4 and 9; T large: even
    assert within_rates(sources(16, 81), temperature=2) == pytest.approx([4 / 13, 9 / 13])
    assert within_rates(sources(16, 81), cap=16, temperature=2) == pytest.approx([0.5, 0.5])
    assert within_rates(sources(1, 10**6), temperature=1e9) == pytest.approx([0.5, 0.5], abs=1e-6)


def test_quality_multiplies_and_a_source_has_a_cap_of_its_own() -> None:
    given = [MixSource("a", 100, quality=3), MixSource("b", 100), MixSource("c", 100, cap=50)]
    assert within_rates(given) == pytest.approx([300 / 450, 100 / 450, 50 / 450])


def test_two_levels_of_flan_2022() -> None:
    given = [
        MixSource("flan a", 90_000, group="flan"),
        MixSource("flan b", 10_000, group="flan"),
        MixSource("cot", 5_000, group="cot"),
        MixSource("alone", 7),
    ]
    groups = {"flan": Group(4, 30_000), "cot": Group(1, 100_000)}
    # 4 : 1 : 1 outside; 30,000 : 10,000 within flan
    assert rates(given, groups=groups) == pytest.approx([4 / 6 * 0.75, 4 / 6 * 0.25, 1 / 6, 1 / 6])


def test_a_share_of_plain_text_stands_apart() -> None:
    given = [*sources(10, 30), MixSource("text", 1_000_000, quality=9)]
    assert rates(given, plain="text", plain_share=0.05) == pytest.approx([0.95 / 4, 0.95 * 3 / 4, 0.05])


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ([], {}, "no sources"),
        ([MixSource("a", 10, quality=0)], {}, "sum to zero: a .10 rows, quality 0."),
        ([MixSource("a", 0)], {}, "sum to zero"),
        ([MixSource("a", 5, quality=-1)], {}, "allowed: a number >= 0"),
        ([MixSource("a", 5)], {"temperature": 0}, "temperature is 0"),
        ([MixSource("a", 5)], {"groups": {"b": Group(1)}}, "'b' has no source"),
        ([MixSource("a", 5, group="g")], {"groups": {"g": Group(0)}}, "sum to zero: g .weight 0."),
        ([MixSource("a", 5)], {"plain": "a", "plain_share": 1.0}, "share of plain text is 1.0"),
        ([MixSource("a", 5), MixSource("t", 0)], {"plain": "t", "plain_share": 0.1}, "has no text"),
    ],
)
def test_what_cannot_be_mixed_is_said(given: list[MixSource], options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rates(given, **options)  # type: ignore[arg-type]


def test_a_long_draw_has_the_rates_and_no_row_twice_in_an_epoch() -> None:
    sizes, shares = [50, 200, 1000], [0.5, 0.3, 0.2]
    count = 60_000
    drawn = list(itertools.islice(draws(shares, sizes, seed=1), count))
    by_source = Counter(draw.source for draw in drawn)
    for source, share in enumerate(shares):
        deviation = (count * share * (1 - share)) ** 0.5
        assert abs(by_source[source] - count * share) < 4 * deviation
    rows: dict[tuple[int, int], list[int]] = {}
    for draw in drawn:
        rows.setdefault((draw.source, draw.epoch), []).append(draw.row)
    for (source, epoch), found in rows.items():
        assert len(set(found)) == len(found), "without replacement"
        last = max(e for s, e in rows if s == source)
        if epoch < last:
            assert sorted(found) == list(range(sizes[source])), "a whole epoch"
    assert rows[0, 0] != rows[0, 1], "an order of its own each epoch"
    assert repeats(shares, sizes, count) == pytest.approx([600, 90, 12])


def test_draws_depend_on_the_seed_alone_and_are_a_stream() -> None:
    def first(n: int, seed: int, name: str = "") -> list[object]:
        return list(itertools.islice(draws([0.6, 0.4], [7, 9], seed, name=name), n))

    assert first(2 * BLOCK + 5, 3)[: BLOCK + 1] == first(BLOCK + 1, 3)
    assert first(100, 3) != first(100, 4)
    assert first(100, 3) != first(100, 3, "other")


def test_a_source_of_rate_zero_is_never_drawn() -> None:
    assert {draw.source for draw in itertools.islice(draws([0.0, 1.0, 0.0], [0, 5, 4], 0), 9000)} == {1}
    with pytest.raises(ValueError, match="without rows"):
        next(draws([0.5, 0.5], [3, 0], 0))
