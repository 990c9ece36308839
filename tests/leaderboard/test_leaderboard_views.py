"""Views: what each shows, whether its numbers are those of CSV and JSON, what is said without any."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from icl.errors import ConfigError, DataError
from icl.leaderboard import leaderboard
from icl.leaderboard.intervals import interval_of_mean
from icl.leaderboard.reliability import Reliability, bins_of, confidence, deviation, reliability
from icl.leaderboard.views import VIEWS
from icl.seeding import generator
from icl.types import Prediction, Usage

from .cells import board_cells, cell


def said(label: str, gold: str, **scores: float) -> Prediction:
    return Prediction("q", (), label, gold, label == gold, label_scores=scores)


def test_confidence_is_the_softmax_of_logs_and_a_share_as_it_is():
    assert confidence(said("a", "a", a=math.log(0.3) - 5, b=math.log(0.1) - 5)) == pytest.approx(0.75)
    assert confidence(said("a", "a", a=0.6, b=0.4)) == 0.6
    assert confidence(said("a", "a", a=0.2, b=-0.2)) is None  # a difference of probabilities
    assert confidence(said("c", "a", a=-1.0, b=-2.0)) is None
    assert confidence(said("a", "a", a=-2000.0, b=-1.0)) == pytest.approx(0.0)


def test_calibration_error_by_hand():
    sure = [said("a", "a" if i < 6 else "b", a=0.9, b=0.1) for i in range(10)]
    unsure = [said("a", "a" if i < 3 else "b", a=0.55, b=0.45) for i in range(10)]
    found = reliability(sure + unsure)
    assert found.ece == pytest.approx((0.3 + 0.25) / 2)
    assert found.overconfidence == pytest.approx((0.3 + 0.25) / 2)
    assert [b.count for b in found.bins if b.count] == [10, 10]
    # 9 golds are a, 11 are b, and all answers are a
    assert found.bias == pytest.approx(11 / 20)
    assert (found.preferred, found.preferred_gap) == ("a", pytest.approx(11 / 20))


def test_bins_hold_their_upper_ends():
    found = bins_of(np.array([1 / 15, 1.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    assert [(b.low, b.count) for b in found if b.count] == [(0.0, 2), (14 / 15, 1)]


def test_a_calibrated_model_has_a_small_error():
    rng = generator(0, "calibrated")
    p = rng.uniform(0.5, 1.0, 20_000)
    bins = bins_of(p, (rng.random(20_000) < p).astype(float))
    assert sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / 20_000 < 0.012


def test_headroom_by_hand():
    results = board_cells()
    board = leaderboard(results, resamples=100)
    knn = next(row for row in board.rows if (row.selector, row.shots) == ("knn", 8))
    right = np.array(
        [[p.correct for p in r.predictions] for r in results if (r.cell.selector, r.cell.shots) == ("knn", 8)]
    )
    room = knn.analysis.headroom
    assert (room.worst, room.best) == (right.mean(axis=1).min(), right.mean(axis=1).max())
    assert room.oracle == right.any(axis=0).mean()
    rows = {}
    for r in results:
        rows.setdefault(r.cell.row, []).append([p.correct for p in r.predictions])
    picked = np.any([*map(np.array, rows.values())], axis=0).astype(float)
    assert room.of_rows == interval_of_mean(picked)
    assert room.rows == 5  # the majority class is not among them
    text = " ".join(leaderboard(results, resamples=100, view="headroom").footer)
    assert f"Oracle over 5 rows (tiny, sst2): {100 * picked.mean():.1f}" in text


def priced(selector: str, hits: float, tokens: int):
    results = []
    for seed in range(3):
        one = cell(selector, 4, seed, hits, n=60)
        said = tuple(replace(p, usage=Usage(2 * tokens, tokens, 0, 0.1)) for p in one.predictions)
        results.append(replace(one, predictions=said, selection_usage=Usage(0, 60 * 5, 0, 0.0)))
    return results


def test_accuracy_at_equal_cost():
    results = [*priced("cheap", 0.8, 10), *priced("dear", 0.6, 100), *priced("best", 0.95, 200)]
    board = leaderboard(results, resamples=100, majority=False, view="cost")
    rows = {row.selector: row for row in board.rows}
    assert [rows[name].cost for name in ("cheap", "dear", "best")] == [15.0, 105.0, 205.0]
    assert rows["cheap"].equal_cost is None
    assert rows["dear"].equal_cost.rival.selector == "cheap"
    gap = rows["dear"].value.value - rows["cheap"].value.value
    assert rows["dear"].equal_cost.difference.value == pytest.approx(gap)
    assert gap < 0 < rows["best"].equal_cost.difference.value


def test_training_is_in_the_cost():
    results = priced("zero_shot", 0.8, 10)
    cost = {"tokens": 500, "tokens_forwarded": 400, "tokens_validation": 120}
    tuned = [replace(r, notes={"tuning": {"cost": cost, "notes": {}}}) for r in results]
    (row,) = leaderboard(tuned, resamples=100, majority=False).rows
    assert row.cost == pytest.approx(15 + (3 * 400 + 120) / 60)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_the_numbers_of_csv_and_json(view):
    results = board_cells()
    results += [cell("knn", 8, seed, 0.8, orderer="random") for seed in range(3)]
    board = leaderboard(results, compare_to="random", resamples=100, view=view)
    plain = leaderboard(results, compare_to="random", resamples=100)
    assert board.to_csv() == plain.to_csv()
    lines = list(csv.DictReader(io.StringIO(board.to_csv())))
    whole = json.loads(board.to_json())["rows"]
    text = board.to_markdown()
    met = 0
    for column in board.columns:
        for row, line, record in zip(board.rows, lines, whole, strict=True):
            shown = column.show(row)
            if column.key not in line or shown == "–":
                continue
            assert line[column.key] == ("" if record[column.key] is None else str(record[column.key]))
            number = shown.removesuffix("%").replace("+", "")
            if column.is_number and number.replace(".", "").replace("-", "").isdigit() and "." in number:
                met += 1
                assert float(number) == pytest.approx(100 * float(line[column.key]), abs=0.0501)
            assert shown.replace("_", "\\_").replace("[", "\\[").replace("]", "\\]") in text
    assert met or view == "cost"
    assert all(note in board.footer for note in VIEWS[view].notes)


def test_set_and_order_stand_where_rows_differ_in_their_orderer():
    results = board_cells() + [cell("knn", 8, seed, 0.8, orderer="random") for seed in range(3)]
    rows = leaderboard(results, resamples=100).rows
    told = {(r.selector, r.shots) for r in rows if r.analysis.components.order is not None}
    assert told == {("knn", 8)}
    assert {r.analysis.components.orders for r in rows if (r.selector, r.shots) == ("knn", 8)} == {2}


def test_a_view_that_the_rows_lack_and_one_that_there_is_not():
    with pytest.raises(ConfigError, match="Did you mean 'variance'"):
        leaderboard(board_cells(), resamples=100, view="varience")
    written = [
        replace(r, predictions=tuple(replace(p, label_scores={}) for p in r.predictions))
        for r in board_cells()
    ]
    with pytest.raises(DataError, match="view reliability: no row has label scores"):
        leaderboard(written, resamples=100, view="reliability")


@pytest.mark.parametrize("count", [30, 300])
def test_what_a_calibrated_row_shows_of_calibration_error(count):
    """Answers that are right as often as their confidence says: the mean over 400 rows."""
    rng = generator(3, "calibrated", f"{count}")
    found = []
    for _ in range(400):
        confidences = rng.uniform(0.2, 1.0, count)
        bins = bins_of(confidences, (rng.random(count) < confidences).astype(float))
        row = Reliability(bins, {}, {})
        found.append((row.ece, row.ece_calibrated))
    shown, told = np.mean(found, axis=0)
    assert told == pytest.approx(shown, rel=0.05)
    assert told > 0.02


def test_the_deviation_of_a_binomial():
    for count, share in ((1, 0.3), (7, 0.5), (40, 0.93), (5, 0.2)):
        hits = np.arange(count + 1)
        by_hand = float(np.sum(stats.binom.pmf(hits, count, share) * np.abs(hits / count - share)))
        assert deviation(count, share) == pytest.approx(by_hand)
    assert (deviation(9, 0.0), deviation(9, 1.0)) == (0.0, 0.0)
    assert Reliability((), {}, {}).ece_calibrated is None
