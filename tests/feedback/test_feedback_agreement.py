"""Agreement against published worked examples, other libraries, and planted agreement."""

from __future__ import annotations

from pathlib import Path

import krippendorff
import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from icl.feedback import Said
from icl.feedback.agreement import agreement
from icl.feedback.alpha import Reliability
from icl.feedback.resampling import Bootstrap

from .rows import rated, read, vote

KRIPPENDORFF_2011 = """
A 1 2 3 3 2 1 4 1 2 * * *
B 1 2 3 3 2 2 4 1 2 5 * 3
C * 3 3 3 2 3 4 2 2 5 1 *
D 1 2 3 3 2 4 4 1 2 5 1 *
"""
"""Computing Krippendorff's Alpha-Reliability (2011), C: four observers, twelve units, some values missing."""


def said(table: str) -> list[Said]:
    found = []
    for line in table.split("\n"):
        for at, value in enumerate(line.split()[1:]):
            if value != "*":
                found.append(Said("", f"unit {at}", "", line[0], float(value), "f:1"))
    return found


def one_alpha(values: list[Said], level: str) -> float:
    table = Reliability(values)
    return float(table.alphas(level, np.ones((1, table.units)))[0])


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_krippendorffs_own_example(level: str, published: float) -> None:
    assert one_alpha(said(KRIPPENDORFF_2011), level) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_of_any_table_and_any_resample_is_that_of_the_library(level: str, seed: int) -> None:
    stream = np.random.default_rng(seed)
    values = stream.choice([1.0, 2.0, 3.5, 7.0], size=(4, 25))
    values[stream.random(values.shape) < 0.4] = np.nan
    table = Reliability(
        [
            Said("", str(unit), "", str(who), float(values[who, unit]), "f:1")
            for who, unit in zip(*np.nonzero(~np.isnan(values)), strict=True)
        ]
    )
    pairable = [unit for unit in range(25) if (~np.isnan(values[:, unit])).sum() > 1]
    weights = stream.multinomial(len(pairable), np.full(len(pairable), 1 / len(pairable)), size=3)
    seen = {int(unit): at for at, unit in enumerate(dict.fromkeys(np.nonzero(~np.isnan(values))[1]))}
    order = np.argsort([seen[unit] for unit in pairable])  # Reliability has units by first appearance
    found = table.alphas(level, weights[:, order].astype(float))
    for drawn, ours in zip(weights, found, strict=True):
        resample = np.repeat(values[:, pairable], drawn, axis=1)
        assert ours == pytest.approx(krippendorff.alpha(resample, level_of_measurement=level), abs=1e-10)


def test_alpha_is_not_defined_where_all_say_one_thing() -> None:
    assert np.isnan(one_alpha(said("A 1 1 1\nB 1 1 1"), "interval"))
    assert Reliability(said("A 1 1 1\nB 1 1 1")).alpha("nominal", Bootstrap(100)) is None


def cohen(tmp_path: Path, table: list[list[int]], values: tuple[str, ...]):
    """The agreement of two annotators whose answers are counted in `table`."""
    cells = [(x, y) for x, row in enumerate(table) for y, count in enumerate(row) for _ in range(count)]
    rows = [
        vote(f"q{at}", who, values[cell[side]])
        for at, cell in enumerate(cells)
        for side, who in enumerate(("ann", "bob"))
    ]
    (found,) = agreement(read(tmp_path, rows), Bootstrap(1000))
    return found.pairs[0]


def test_cohens_kappa_of_a_table_worked_by_hand(tmp_path: Path) -> None:
    """Of 50: same 20 + 15 = 0.70; by chance 0.5 x 0.6 + 0.5 x 0.4 = 0.50; (0.70 - 0.50) / (1 - 0.50) =
    0.40."""
    found = cohen(tmp_path, [[20, 5], [10, 15]], ("a", "b"))
    assert found.items == 50
    assert found.same.value == pytest.approx(0.70)
    assert found.kappa.value == pytest.approx(0.40)


def test_kappa_and_its_interval_are_near_those_of_statsmodels(tmp_path: Path) -> None:
    table = [[40, 6, 4], [9, 30, 6], [3, 8, 44]]
    found = cohen(tmp_path, table, ("a", "b", "tie"))
    theirs = cohens_kappa(np.array(table))
    assert found.kappa.value == pytest.approx(theirs.kappa, abs=1e-12)
    assert found.kappa.low == pytest.approx(theirs.kappa_low, abs=0.02)
    assert found.kappa.high == pytest.approx(theirs.kappa_upp, abs=0.02)


def test_raw_agreement_counts_pairs_of_annotators(tmp_path: Path) -> None:
    """q: one of three pairs is the same; r: the only pair is; s: nobody to compare with."""
    rows = [vote("q", "ann", "a"), vote("q", "bob", "a"), vote("q", "cat", "tie")]
    rows += [vote("r", "ann", "b"), vote("r", "bob", "b"), vote("s", "cat", "a")]
    (found,) = agreement(read(tmp_path, rows), Bootstrap(100))
    assert found.same.value == pytest.approx(2 / 4)
    assert (found.items, found.units) == (2, 2)
    assert [(p.first, p.second, p.items) for p in found.pairs] == [
        ("ann", "bob", 2),
        ("ann", "cat", 1),
        ("bob", "cat", 1),
    ]


def test_values_of_a_scale_may_be_near_enough(tmp_path: Path) -> None:
    feedback = read(
        tmp_path, [rated(f"q{at}", who, at + far) for at in range(4) for who, far in (("a", 0), ("b", 1))]
    )
    exact, near = (agreement(feedback, Bootstrap(100), within)[0] for within in (0.0, 1.0))
    assert (exact.same.value, near.same.value) == (0.0, 1.0)
    assert exact.alpha == near.alpha


def test_pairs_of_one_ranking_are_resampled_together(tmp_path: Path) -> None:
    """Two annotators rank four candidates: the same way, or the other way round, by item. 6 pairs an item
    that agree or not all at once say no more than the item does, so the interval is that of 20 items and not
    of 120."""
    names = ["w", "x", "y", "z"]
    rows = [
        {"item": f"q{at}", "annotator": who, "ranking": names if who == "ann" or at % 2 else names[::-1]}
        for at in range(20)
        for who in ("ann", "bob")
    ]
    (found,) = agreement(read(tmp_path, rows), Bootstrap(2000))
    assert (found.items, found.units) == (20, 120)
    half_width = (found.same.high - found.same.low) / 2
    assert half_width == pytest.approx(1.96 * 0.5 / np.sqrt(20), rel=0.15)


def test_where_all_agree_the_interval_is_wilsons_for_the_items(tmp_path: Path) -> None:
    """10 of 10: from 10 / (10 + 1.96^2) = 0.722. Three annotators make no more items of them."""
    feedback = read(tmp_path, [vote(f"q{at}", who, "a") for at in range(10) for who in "xyz"])
    (found,) = agreement(feedback, Bootstrap(100))
    assert (found.same.value, found.same.high) == (1.0, 1.0)
    assert found.same.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-4)


def planted(seed: int, items: int) -> list[Said]:
    """Three annotators who say the truth with chance 0.8 and else one of three values at random."""
    stream = np.random.default_rng(seed)
    truth = stream.integers(3, size=items)
    found = []
    for who in "abc":
        values = np.where(stream.random(items) < 0.8, truth, stream.integers(3, size=items))
        found += [Said("", str(at), "", who, float(v), "f:1") for at, v in enumerate(values)]
    return found


def test_the_interval_of_alpha_covers_the_planted_agreement() -> None:
    """Values are uniform, so chance agrees on 1/3, and two annotators agree where both say the truth (0.64)
    or by chance: alpha is 0.64 for any number of items."""
    intervals = [Reliability(planted(seed, 80)).alpha("nominal", Bootstrap(300, seed)) for seed in range(200)]
    covered = np.mean([one.low <= 0.64 <= one.high for one in intervals])
    assert 0.91 <= covered <= 0.98
    assert np.mean([one.value for one in intervals]) == pytest.approx(0.64, abs=0.01)


def test_the_seed_decides_the_interval_and_nothing_else_does() -> None:
    table = Reliability(said(KRIPPENDORFF_2011))
    first, again, other = (table.alpha("ordinal", Bootstrap(200, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first.value == other.value
    assert first != other


def test_draws_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(Bootstrap(50).weights(7, "test")))
    monkeypatch.setattr("icl.feedback.resampling.AT_ONCE", 20)
    pieces = list(Bootstrap(50).weights(7, "test"))
    assert len(pieces) > 1
    assert (np.concatenate(pieces) == whole).all()
    assert (whole.sum(1) == 7).all()
