"""How far annotators agree: raw, Cohen's kappa of two, Krippendorff's alpha of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from icl.feedback.alpha import INTERVAL, NOMINAL, ORDINAL, Reliability
from icl.feedback.annotations import BEST, PAIRWISE, RANKING, RULES, SCALE, Feedback, Said, Value
from icl.feedback.resampling import Bootstrap, summed
from icl.metrics.shared.agreement import Estimate, kappas

LEVELS_OF = {
    PAIRWISE: (NOMINAL, ORDINAL),
    RANKING: (NOMINAL, ORDINAL),
    BEST: (NOMINAL,),
    SCALE: (NOMINAL, ORDINAL, INTERVAL),
    RULES: (NOMINAL,),
}
CATEGORIES = 30
"""Two annotators who use more values than this have no kappa: it is of categories."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Of two annotators on one question."""

    first: str
    second: str
    items: int
    """That both annotated; 0: nothing can be said of the two."""
    same: Estimate | None = None
    kappa: Estimate | None = None
    """None where both say one thing only, and on scales of many values."""


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """Of all annotators on one question."""

    question: str
    items: int
    """That two annotators or more have a value in common of."""
    units: int
    """Values that can be compared: of a ranking of n, n (n - 1) / 2 an item."""
    same: Estimate | None
    """Share of pairs of annotators that say the same of a unit."""
    alpha: dict[str, Estimate | None]
    """By level."""
    pairs: tuple[PairAgreement, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "question": self.question,
            "items": self.items,
            "units": self.units,
            "same": plain(self.same),
            "alpha": {level: plain(value) for level, value in self.alpha.items()},
            "annotators": [
                {"first": p.first, "second": p.second, "items": p.items}
                | {"same": plain(p.same), "kappa": plain(p.kappa)}
                for p in self.pairs
            ],
        }


def plain(estimate: Estimate | None) -> dict[str, float] | None:
    """For JSON."""
    return None if estimate is None else estimate.plain


def agreement(feedback: Feedback, bootstrap: Bootstrap, within: float = 0.0) -> list[QuestionAgreement]:
    """A question each. within: values of a scale no further apart are the same in the raw share."""
    return [
        _question(feedback.about(question), question, bootstrap, within) for question in feedback.questions
    ]


def same(ours: Value, theirs: Value, within: float) -> bool:
    """Whether two values are the same, numbers but for `within`."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return abs(ours - theirs) <= within
    return ours == theirs


def _question(feedback: Feedback, question: str, bootstrap: Bootstrap, within: float) -> QuestionAgreement:
    table = Reliability(feedback.said)
    by_unit: dict[tuple[str, str], list[Value]] = defaultdict(list)
    for one in feedback.said:
        by_unit[one.item, one.unit].append(one.value)
    items = {item: at for at, item in enumerate(dict.fromkeys(item for item, _ in by_unit))}
    hits, of = np.zeros(len(items)), np.zeros(len(items))
    for (item, _), values in by_unit.items():
        both = [same(x, y, within) for x, y in combinations(values, 2)]
        hits[items[item]] += sum(both)
        of[items[item]] += len(both)
    return QuestionAgreement(
        question,
        table.items,
        table.units,
        bootstrap.share(hits, of, "same", question),
        {level: table.alpha(level, bootstrap, question) for level in LEVELS_OF[feedback.kind]},
        tuple(_pairs(feedback, question, bootstrap, within)),
    )


def _pairs(feedback: Feedback, question: str, bootstrap: Bootstrap, within: float) -> list[PairAgreement]:
    """Every two annotators, those with most items in common first."""
    by_annotator: dict[str, dict[tuple[str, str], Said]] = {name: {} for name in feedback.annotators}
    for one in feedback.said:
        by_annotator[one.annotator][one.item, one.unit] = one
    found = []
    for first, second in combinations(feedback.annotators, 2):
        ours, theirs = by_annotator[first], by_annotator[second]
        common = [unit for unit in ours if unit in theirs]
        values = [(ours[unit].value, theirs[unit].value) for unit in common]
        name = f"{question}\x1f{first}\x1f{second}"
        found.append(_pair(first, second, [item for item, _ in common], values, name, bootstrap, within))
    return sorted(found, key=lambda pair: -pair.items)


def _pair(
    first: str,
    second: str,
    of: Sequence[str],
    values: Sequence[tuple[Value, Value]],
    name: str,
    bootstrap: Bootstrap,
    within: float,
) -> PairAgreement:
    """of: the item of each unit that both annotated; values: what the two said of it."""
    if not values:
        return PairAgreement(first, second, 0)
    items = {item: at for at, item in enumerate(dict.fromkeys(of))}
    places = [items[item] for item in of]
    hits = summed([same(x, y, within) for x, y in values], places, len(items))
    total = summed([1.0] * len(values), places, len(items))
    return PairAgreement(
        first,
        second,
        len(items),
        bootstrap.share(hits, total, "same", name),
        _kappa(values, places, len(items), name, bootstrap),
    )


def _kappa(
    values: Sequence[tuple[Value, Value]], places: Sequence[int], items: int, name: str, bootstrap: Bootstrap
) -> Estimate | None:
    """Cohen's kappa (1960) with its interval over items."""
    labels = {value: at for at, value in enumerate(dict.fromkeys(v for pair in values for v in pair))}
    if items < 2 or len(labels) > CATEGORIES:
        return None
    size = len(labels)
    tables = np.zeros((items, size, size))
    for (ours, theirs), at in zip(values, places, strict=True):
        tables[at, labels[ours], labels[theirs]] += 1
    flat = tables.reshape(items, -1)
    draws = bootstrap.weights(items, "kappa", name)
    found = [kappas((drawn @ flat).reshape(-1, size, size)) for drawn in draws]
    return bootstrap.estimate(float(kappas(tables.sum(0))), found)
