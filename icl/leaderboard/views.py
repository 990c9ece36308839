"""Which columns a leaderboard shows beside its results: one view a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icl.errors import ConfigError, DataError, unknown_name
from icl.leaderboard.columns import NOT_YET, Column, percent, short_count
from icl.leaderboard.intervals import Interval
from icl.leaderboard.power import MOST_QUERIES, MOST_SEEDS, Power
from icl.leaderboard.rows import Row

if TYPE_CHECKING:
    from icl.leaderboard.analysis import Analysis

RESULTS = "results"


@dataclass(frozen=True, slots=True)
class View:
    """Columns beside the value, and what must be said of them."""

    columns: Sequence[Column]
    notes: Sequence[str]
    lacking: str
    """What is missing where no row has any of these numbers."""


def _of(
    get: Callable[[Analysis], float | None], show: Callable[[float], str] = percent
) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        number = get(row.analysis) if row.analysis else None
        return NOT_YET if number is None else show(number)

    return text


def _sd(variance: float) -> str:
    return percent(variance**0.5)


def _whole(share: float) -> str:
    return f"{100 * share:.0f}"


def _seed_interval(row: Row) -> str:
    found = row.analysis.components if row.analysis else None
    if found is None or found.seed_low is None or found.seed_high is None:
        return NOT_YET
    return f"[{_sd(found.seed_low)}, {_sd(found.seed_high)}]"


def _preferred(row: Row) -> str:
    found = row.analysis.reliability if row.analysis else None
    if found is None or found.preferred is None or found.preferred_gap is None:
        return NOT_YET
    return f"{found.preferred} {percent(found.preferred_gap, signed=True)}"


def interval_text(interval: Interval) -> str:
    """[low, high] in per cent."""
    return f"[{percent(interval.low)}, {percent(interval.high)}]"


def _rival(row: Row) -> str:
    return row.equal_cost.rival.setting if row.equal_cost else NOT_YET


def _gain(row: Row) -> str:
    return percent(row.equal_cost.difference.value, signed=True) if row.equal_cost else NOT_YET


def _gain_interval(row: Row) -> str:
    return interval_text(row.equal_cost.difference) if row.equal_cost else NOT_YET


def _difference(row: Row) -> str:
    return percent(row.comparison.difference.value, signed=True) if row.comparison else NOT_YET


def _powered(show: Callable[[Power], str]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        found = row.comparison.power if row.comparison else None
        return NOT_YET if found is None else show(found)

    return text


def _needed(count: int | None, most: int) -> str:
    return f"{count:,}" if count is not None else f">{short_count(most)}"


VIEWS: Mapping[str, View] = {
    "variance": View(
        (
            Column("sd_seed", "seed", _of(lambda a: a.components.seed, _sd)),
            Column("sd_seed_interval", "95 % CI of seed", _seed_interval, rank=6),
            Column("sd_set", "set", _of(lambda a: a.components.set, _sd), rank=2),
            Column("sd_order", "order", _of(lambda a: a.components.order, _sd), rank=2),
            Column("sd_query", "query", _of(lambda a: a.components.query, _sd)),
            Column("sd_rest", "rest", _of(lambda a: a.components.rest, _sd)),
            Column("share_seed", "% seed", _of(lambda a: a.components.shares["seed"], _whole), 3),
            Column("share_query", "% query", _of(lambda a: a.components.shares["query"], _whole), 4),
            Column("share_rest", "% rest", _of(lambda a: a.components.shares["rest"], _whole), 5),
        ),
        (
            "seed, query, rest: standard deviations in points of what a score varies by with seeds, with "
            "queries, and with both together (noise included). % seed, query, rest: their shares of the "
            "variance of the mean: more seeds lower the first and the last, more queries the other two.",
            "set, order: seed taken apart by rows that differ in their orderer only: what all orders of a "
            "seed have in common, and what the order adds.",
        ),
        "no complete row",
    ),
    "reliability": View(
        (
            Column("ece", "ECE", _of(lambda a: a.reliability.ece)),
            Column("ece_calibrated", "if calibrated", _of(lambda a: a.reliability.ece_calibrated), rank=1),
            Column(
                "overconfidence",
                "confidence",
                _of(lambda a: a.reliability.overconfidence, lambda n: percent(n, signed=True)),
            ),
            Column("label_bias", "label bias", _of(lambda a: a.reliability.bias)),
            Column("preferred_label", "preferred label", _preferred, rank=2, is_number=False),
        ),
        (
            "ECE: expected calibration error in points, 15 bins of equal width. if calibrated: what as many "
            "predictions would show at least if every confidence were true. confidence: mean probability of "
            "the answer among the labels, less accuracy.",
            "label bias: half the sum over labels of |share of the answers - share of the golds|, in points; "
            "preferred: the label answered most above its share.",
        ),
        "no row has label scores, which calibration and label bias are read from; methods that score labels, "
        "such as direct, have them",
    ),
    "headroom": View(
        (
            Column("worst_seed", "worst seed", _of(lambda a: a.headroom.worst)),
            Column("best_seed", "best seed", _of(lambda a: a.headroom.best)),
            Column("oracle_seeds", "oracle", _of(lambda a: a.headroom.oracle)),
        ),
        ("oracle: right where any seed is. Best and oracle are picked with the golds: bounds, not results.",),
        "no complete row",
    ),
    "cost": View(
        (
            Column("cost", "tok/query", lambda r: short_count(r.cost) if r.cost else NOT_YET),
            Column("equal_cost_difference", "at equal cost", _gain),
            Column("equal_cost_interval", "95 % CI ", _gain_interval, rank=2),
            Column("equal_cost_row", "against", _rival, rank=3, is_number=False),
        ),
        (
            "tok/query: tokens forwarded a query, with those of choosing demonstrations and of training (one "
            "that is gone back through counts as three) shared out over the queries of the run; they depend "
            "on what was asked together.",
            "at equal cost: the row less the best row of its section that costs no more a query. Below 0, "
            "its tokens are better spent there. That row is picked on the same queries: where several are "
            "equal, differences lean below 0, and the interval does not allow for it.",
        ),
        "no row says what it cost",
    ),
    "power": View(
        (
            Column("difference", "vs baseline", _difference),
            Column("power", "power", _powered(lambda p: percent(p.now))),
            Column("queries_needed", "queries", _powered(lambda p: _needed(p.queries, MOST_QUERIES))),
            Column("seeds_needed", "seeds", _powered(lambda p: _needed(p.seeds, MOST_SEEDS))),
            Column(
                "detectable",
                "detectable",
                _powered(lambda p: "none" if p.detectable is None else percent(p.detectable)),
            ),
        ),
        (
            "power: chance in % that as many new seeds and queries settle a difference of the size seen: p "
            "for new seeds below 0.05 / rows compared. queries, seeds: how many in all, the other as now, "
            "for 80 %.",
            "detectable: the smallest difference in points that seeds and queries as they are settle in four "
            "runs of five. Variances and the size seen are estimates: read orders of magnitude.",
        ),
        "no row of two seeds or more is compared with a baseline: name one with compare_to",
    ),
}


def view_columns(name: str, rows: Sequence[Row]) -> list[Column]:
    """Those of a view in which any row has a number."""
    return [c for c in VIEWS[name].columns if any(c.show(row) != NOT_YET for row in rows)]


def check_view(name: str, rows: Sequence[Row]) -> None:
    """ConfigError for an unknown view, DataError where no row has any of its numbers."""
    if name == RESULTS:
        return
    if name not in VIEWS:
        raise ConfigError(unknown_name("view", name, [RESULTS, *VIEWS, "overall"]))
    if not view_columns(name, rows):
        raise DataError(f"view {name}: {VIEWS[name].lacking}")
