"""Orders that end or begin with a label, and what answers under them say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icl.mechanism.contract import Claim, Figure, Found, Report, Series, Table
from icl.mechanism.shared.intervals import mean_of_few
from icl.types import Example

PLAIN = "direct"
"""Before calibration."""
CONTROL = "pmi"
"""A calibration whose prior has not seen the demonstrations."""
WITHHELD = "labels withheld"


@dataclass(frozen=True, slots=True)
class Arranged:
    """A set of demonstrations in the orders that are compared."""

    orders: tuple[tuple[Example, ...], ...]
    """All different."""
    last: tuple[int, ...]
    """Of each label, the order that ends with its demonstrations."""
    first: tuple[int, ...]
    """The one that begins with them."""


def arranged(shown: Sequence[Example], labels: Sequence[str]) -> Arranged:
    """The examples of each label moved to the end, and to the beginning; otherwise as they were drawn."""
    orders: dict[tuple[int, ...], int] = {}
    places: dict[bool, list[int]] = {True: [], False: []}
    for label in labels:
        own = [at for at in range(len(shown)) if shown[at].target == label]
        rest = [at for at in range(len(shown)) if shown[at].target != label]
        for at_end, order in ((True, (*rest, *own)), (False, (*own, *rest))):
            places[at_end].append(orders.setdefault(order, len(orders)))
    found = tuple(tuple(shown[at] for at in order) for order in orders)
    return Arranged(found, tuple(places[True]), tuple(places[False]))


def lean(one: Found, method: str, measure: str) -> float:
    """How much more of `measure` a label has when it is last than when it is first: the mean over labels."""
    table = np.array([row[measure] for row in one["methods"][method]])  # [orders, labels]
    labels = np.arange(table.shape[1])
    return float(np.mean(table[one["last"], labels] - table[one["first"], labels]))


def read(sets: Sequence[Found]) -> Report:
    """What sets of demonstrations say together."""
    if len(sets) < 2:
        return Report((), notes=(f"{len(sets)} sets are done; intervals are over sets and need 2",))
    names = list(sets[0]["methods"])
    leans = {
        name: {m: np.array([lean(one, name, m) for one in sets]) for m in ("share", "probability", "score")}
        for name in names
    }
    calibrated = [name for name in names if name not in (PLAIN, WITHHELD, CONTROL)]
    claims = [_bias(leans, sets), *(_cure(name, leans) for name in calibrated)]
    notes = (
        "intervals are over sets of demonstrations (Student's t), for the queries that were asked",
        "score is in nats where a method compares log-probabilities; contextual with form: shift compares "
        "probabilities",
    )
    return Report(tuple(claims), (_table(names, leans, sets),), _figures(names, leans), notes)


Leans = Mapping[str, Mapping[str, NDArray[np.float64]]]


def _bias(leans: Leans, sets: Sequence[Found]) -> Claim:
    share, score = mean_of_few(leans[PLAIN]["share"]), mean_of_few(leans[PLAIN]["score"])
    apart = mean_of_few(leans[PLAIN]["share"] - leans[WITHHELD]["share"])
    control = mean_of_few(leans[WITHHELD]["share"])
    holds = share.above_zero if share.above_zero is not True or apart.above_zero else None
    return Claim(
        "a label is answered more often when its demonstrations stand last than when they stand first "
        "(recency; Zhao et al. 2021)",
        f"share of answers {share}, score {score} nats more; {len(sets)} sets x {sets[0]['queries']} queries",
        f"the same texts with labels withheld: share {control}; labels less withheld {apart}",
        holds,
    )


def _cure(name: str, leans: Leans) -> Claim:
    control = f"no calibration that has not seen the demonstrations: name {CONTROL} among calibrations"
    if CONTROL in leans:
        control = (
            f"{CONTROL}, whose prior has not seen the demonstrations, takes "
            f"{mean_of_few(leans[PLAIN]['share'] - leans[CONTROL]['share'])} of share and "
            f"{mean_of_few(leans[PLAIN]['score'] - leans[CONTROL]['score'])} nats away"
        )
    share, score = (mean_of_few(leans[name][m]) for m in ("share", "score"))
    gone = {m: mean_of_few(leans[PLAIN][m] - leans[name][m]) for m in ("share", "score")}
    verdicts = {lessened(leans[PLAIN][m], leans[name][m]) for m in ("share", "score")}
    return Claim(
        f"{name} calibration lessens the lean towards the label at the end (what calibration claims)",
        f"share {share} and score {score} nats are left; {gone['share']} of share and {gone['score']} nats "
        "less than before, set by set",
        control,
        verdicts.pop() if len(verdicts) == 1 else None,
    )


def lessened(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool | None:
    """Whether the mean of `after` is nearer to zero than that of `before`; None where the paired
    difference may be zero."""
    if mean_of_few(before - after).above_zero is None:
        return None
    return bool(abs(after.mean()) < abs(before.mean()))


def _table(names: Sequence[str], leans: Leans, sets: Sequence[Found]) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = []
    for name in names:
        by_order = [[row["accuracy"] for row in one["methods"][name]] for one in sets]
        accuracy = np.array(by_order)  # [sets, orders]
        estimates = [str(mean_of_few(leans[name][m])) for m in ("share", "probability", "score")]
        estimates += [str(mean_of_few(n)) for n in (accuracy.mean(axis=1), accuracy.std(axis=1, ddof=1))]
        rows.append((name, *estimates))
    return Table(
        "lean",
        ("method", "share, last - first", "probability", "score", "accuracy", "its SD over orders of a set"),
        tuple(rows),
    )


def _figures(names: Sequence[str], leans: Leans) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            f"recency_{measure}",
            "Lean towards the label at the end",
            "method",
            said,
            tuple(
                _bars(kind, chosen, leans, measure)
                for kind, chosen in (
                    ("labels shown", [n for n in names if n not in (WITHHELD, CONTROL)]),
                    ("control", [n for n in names if n in (WITHHELD, CONTROL)]),
                )
            ),
        )
        for measure, said in (
            ("share", "share of answers, last - first"),
            ("score", "score, last - first (nats)"),
        )
    )


def _bars(kind: str, names: Sequence[str], leans: Leans, measure: str) -> Series:
    rows = [mean_of_few(leans[name][measure]) for name in names]
    return Series(
        kind,
        tuple(names),
        tuple(row.value for row in rows),
        tuple(row.low for row in rows),
        tuple(row.high for row in rows),
        kind="bars",
        control=kind == "control",
    )
