"""What all orders of the same demonstrations say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.spread import (
    Against,
    by_chance,
    dealt,
    due_to_order,
    gain_of_best,
    indicators,
    rank_correlation,
    spread,
)
from icl.seeding import generator

ENTROPIES = {"global": "GlobalE", "local": "LocalE"}


@dataclass(frozen=True, slots=True)
class Orders:
    """One set of demonstrations in all its orders."""

    name: str
    labels: tuple[str, ...]
    answers: NDArray[np.int64]
    """[orders, queries] places among the labels."""
    right: NDArray[np.int64]
    """[orders, queries] ones and zeros."""
    entropy: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, number: int, parts: Sequence[Found]) -> Orders:
        """From the steps of a set."""

        def all_of(key: str) -> list[list[int]]:
            return [row for part in parts for row in part[key]]

        entropy = {kind: tuple(v for part in parts for v in part[kind]) for kind in ENTROPIES}
        labels = tuple(parts[0]["labels"])
        return cls(f"set {number}", labels, np.array(all_of("answers")), np.array(all_of("right")), entropy)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """[orders]."""
        return np.asarray(self.right.mean(axis=1))


def read(sets: Mapping[int, Sequence[Found]], keep: int, resamples: int) -> Report:
    """Claims, table and figures of the sets that are whole."""
    rows = [Orders.of(number, parts) for number, parts in sorted(sets.items())]
    if not rows:
        return Report((), notes=("no set is done with all its orders",))
    claims = [
        _apart("accuracy", rows, resamples, lambda one: (one.right, 2)),
        _apart("the shares of answers", rows, resamples, lambda one: (one.answers, len(one.labels))),
    ]
    claims += [_told(kind, name, rows, keep, resamples) for kind, name in ENTROPIES.items()]
    note = (
        "chance: the answers to each query are dealt anew among the orders, which leaves the noise of the "
        f"test set ({resamples:,} times)"
    )
    return Report(tuple(claims), (_table(rows, resamples),), _figures(rows, resamples), (note,))


def _stream(purpose: str, item: str) -> np.random.Generator:
    return generator(0, f"study order {purpose}", item)


def _apart(
    what: str,
    rows: Sequence[Orders],
    resamples: int,
    values: Callable[[Orders], tuple[NDArray[np.int64], int]],
) -> Claim:
    """Whether orders differ by more than the test set's noise, all sets together."""
    tables = [(*values(one), one.name) for one in rows]
    measured = float(np.mean([spread(indicators(table, labels)) for table, labels, _ in tables]))
    chance = np.mean(
        [by_chance(table, labels, resamples, _stream(what, name)) for table, labels, name in tables], axis=0
    )
    found = Against.of(measured, chance)
    left = [due_to_order(indicators(table, labels)) for table, labels, _ in tables]
    orders, queries = rows[0].right.shape
    extremes = ""
    if what == "accuracy":
        ends = [f"{one.accuracy.min():.3f} to {one.accuracy.max():.3f}" for one in rows]
        extremes = f"; from worst to best order {', '.join(ends)}"
    return Claim(
        f"{what} depend{'s' * (what == 'accuracy')} on the order of the demonstrations (Lu et al. 2022)",
        f"SD over {orders} orders {measured:.3f}, of which due to order {float(np.mean(left)):.3f}{extremes}"
        f"; {len(rows)} set{'s' * (len(rows) > 1)} x {queries} queries",
        f"test noise alone: {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}], p {found.p:.4f}",
        True if found.p < 0.05 else None,
    )


def _told(kind: str, name: str, rows: Sequence[Orders], keep: int, resamples: int) -> Claim:
    """Whether orders of high entropy are accurate ones, beside orders in a random row."""
    keep = min(keep, len(rows[0].right))
    gains, correlations = [], []
    for one in rows:
        mixed = np.tile(one.accuracy, (resamples + 1, 1))
        mixed[1:] = _stream(f"{kind} entropy", one.name).permuted(mixed[1:], axis=1)
        gains.append(gain_of_best(mixed, one.entropy[kind], keep))  # [1 + resamples], as measured first
        correlations.append(rank_correlation(mixed, one.entropy[kind]))
    gain = np.mean(gains, axis=0)
    found = Against.of(float(gain[0]), gain[1:])
    said, beside = "no correlation, as entropy or accuracy is constant", ""
    usable = [row for row in correlations if row is not None]
    if usable:
        mean = np.mean(usable, axis=0)
        both = Against.of(float(mean[0]), mean[1:])
        said = f"rank correlation with accuracy {both.value:.2f}, mean of {len(usable)} of {len(rows)} sets"
        beside = f"; correlation {both.mean:.2f} [{both.low:.2f}, {both.high:.2f}], p {both.p:.4f}"
    return Claim(
        f"orders with the highest {name} are more accurate (Lu et al. 2022)",
        f"the best {keep} by {name} are {found.value:+.3f} against the mean order; {said}",
        f"in random row: {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p {found.p:.4f}{beside}",
        True if found.p < 0.05 else False if found.value < found.low else None,
    )


def _table(rows: Sequence[Orders], resamples: int) -> Table:
    lines = []
    for one in rows:
        chance = by_chance(one.right, 2, resamples, _stream("accuracy", one.name))
        found = Against.of(float(spread(indicators(one.right, 2))), chance)
        correlations = [rank_correlation(one.accuracy, one.entropy[kind]) for kind in ENTROPIES]
        numbers = (
            one.accuracy.min(), one.accuracy.mean(), one.accuracy.max(),
            found.value, found.mean, found.high, found.p,
            due_to_order(indicators(one.right, 2)),
        )  # fmt: skip
        lines.append(
            (
                one.name,
                *(round(float(n), 4) for n in numbers),
                *(None if c is None else round(float(c), 3) for c in correlations),
            )
        )
    columns = (
        "set", "worst order", "mean", "best order", "SD over orders", "SD by chance", "its upper end", "p",
        "SD due to order", "rank corr. GlobalE", "rank corr. LocalE",
    )  # fmt: skip
    return Table("orders", columns, tuple(lines))


def _figures(rows: Sequence[Orders], resamples: int) -> tuple[Figure, ...]:
    ranks = list(range(1, len(rows[0].right) + 1))
    lines = [Series(one.name, ranks, sorted(one.accuracy.tolist())) for one in rows]
    chances = []
    for one in rows:
        draw = _stream("sorted", one.name)
        sorted_anew = np.array(
            [np.sort(dealt(one.right, draw).mean(axis=1)) for _ in range(min(resamples, 500))]
        )
        low, high = np.quantile(sorted_anew, [0.025, 0.975], axis=0)
        mean = sorted_anew.mean(axis=0)
        chances.append(
            Series(f"{one.name}, by chance", ranks, mean.tolist(), low.tolist(), high.tolist(), control=True)
        )
    clouds = tuple(
        Figure(
            f"order_{kind}",
            f"{name} and accuracy, one point an order",
            f"{name} (nats)",
            "accuracy",
            tuple(Series(one.name, one.entropy[kind], one.accuracy.tolist(), kind="points") for one in rows),
        )
        for kind, name in ENTROPIES.items()
    )
    title = "Accuracy of all orders, worst to best"
    return (Figure("order_accuracy", title, "rank of the order", "accuracy", (*lines, *chances)), *clouds)
