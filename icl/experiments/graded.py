"""Answers in a file, graded by a judge and held against what people said of them: `icl judge`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError, nearest, unknown_name
from icl.experiments.asking.judging import Graded
from icl.judges.shared.files import DATA
from icl.judging import Item, Judge, Verdict
from icl.metrics.shared.agreement import Estimate, area, kappa, mean_of_values, share, table
from icl.tasks.readers import read_file
from icl.tasks.rows import Row
from icl.types import NO_USAGE, Usage

BUNDLED = {"violations": DATA / "violations.jsonl"}
"""Files that come with icl, by name."""
KEYS = ("id", "question", "answer", "other", "gold", "language", "label", "violated")
ANY = "any rule"


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """An item with what people said of it."""

    item: Item
    where: str
    label: str | None = None
    violated: tuple[str, ...] | None = None
    """Names of the rules that it breaks; None: nobody said."""


@dataclass(frozen=True, slots=True)
class Line:
    """Agreement on one yes-or-no question: a rule, or whether the label is this one."""

    name: str
    items: int
    positive: int
    """By people."""
    right: Estimate | None
    found: Estimate | None
    """Share of the positive ones that the judge found."""
    false_alarms: Estimate | None
    """Share of the others that it called positive."""
    area: float | None
    """Under the ROC curve of the judge's probability: 0.5 is chance, whatever the threshold."""
    kappa: Estimate | None

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: v.plain if isinstance(v, Estimate) else v for name, v in told.items()}


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Which side of a pair wins by where it stands. Without bias `both` is one half: each answer stands first
    once."""

    before: Estimate | None
    """Share of pairs in which the side shown first wins, in the rows' own order: quality counts too."""
    both: Estimate | None
    """The same over both orders."""
    disagree: Estimate | None
    """Share of pairs of which the two orders name different winners."""

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> PositionBias | None:
        """None where the judge does not grade pairs."""
        pairs = [
            (v.probabilities["shown_first"], v.probabilities["shown_second"])
            for v in verdicts
            if "shown_second" in v.probabilities
        ]
        if not pairs:
            return None
        wins = [(_half(first), 1 - _half(second)) for first, second in pairs]
        return cls(
            mean_of_values([one for one, _ in wins])
            if any(one == 0.5 for one, _ in wins)
            else share(sum(one == 1 for one, _ in wins), len(wins)),
            mean_of_values([(one + two) / 2 for one, two in wins]),
            share(sum(one == two != 0.5 for one, two in wins), len(wins)),
        )

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: None if one is None else one.plain for name, one in told.items()}


def _half(p: float) -> float:
    """1, 0, or a half where neither wins."""
    return 0.5 if p == 0.5 else float(p > 0.5)


@dataclass(frozen=True, slots=True)
class Report:
    """What a judge said of a file, and how far people agree."""

    items: int
    labels: Mapping[str, int]
    """The judge's labels -> how many."""
    ungraded: Mapping[str, int]
    """Why items have no label -> how many; in none of the lines below."""
    flags: Mapping[str, int]
    lines: tuple[Line, ...] = ()
    right: Estimate | None = None
    """Share of labels on which judge and people agree, where people gave labels."""
    kappa: Estimate | None = None
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The people's label -> the judge's -> how many."""
    usage: Usage = NO_USAGE
    position: PositionBias | None = None
    """Of judges that grade pairs."""

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "items": self.items,
            "labels": dict(self.labels),
            "ungraded": dict(self.ungraded),
            "flags": dict(self.flags),
            "lines": [line.plain for line in self.lines],
            "right": None if self.right is None else self.right.plain,
            "kappa": None if self.kappa is None else self.kappa.plain,
            "confusion": {human: dict(ours) for human, ours in self.confusion.items()},
            "position": None if self.position is None else self.position.plain,
            "tokens_flat": self.usage.tokens_flat,
            "tokens_forwarded": self.usage.tokens_unique,
            "requests": self.usage.requests,
        }


def read_labelled(named: str, language: str = "en") -> list[LabelledItem]:
    """The rows of a file that `read_file` reads, or of a bundled one.

    A row has question and answer; other (a pair's second side), gold (a text or a list of them), language,
    id; and what people said: label, or violated (a list of rules). Raises DataError with file, line and key.
    """
    if named not in BUNDLED and not os.path.exists(named):
        guess = nearest(named, BUNDLED)
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise ConfigError(f"{named}: no such file.{hint} Bundled: {', '.join(BUNDLED)}")
    rows = read_file(BUNDLED.get(named, Path(named))).rows
    found = [_labelled(row, language) for row in rows]
    ids = Counter(one.item.id for one in found)
    twice = next((one for one in found if ids[one.item.id] > 1), None)
    if twice is not None:
        raise DataError(f"{twice.where}: the id {twice.item.id!r} is given {ids[twice.item.id]} times")
    return found


def _labelled(row: Row, language: str) -> LabelledItem:
    if row.problem:
        raise DataError(f"{row.where}: {row.problem}")
    values = row.values
    for key in values:
        if key not in KEYS and (guess := nearest(key, KEYS)) is not None and guess not in values:
            raise DataError(
                f"{row.where}: unknown key {key!r}. Did you mean {guess!r}? Read are: {', '.join(KEYS)}"
            )
    texts = {key: _text(values, key, row.where) for key in ("question", "answer")}
    other = None if values.get("other") is None else _text(values, "other", row.where)
    item = Item(
        str(values.get("id", row.index + 1)),
        texts["question"],
        texts["answer"],
        _golds(values.get("gold"), row.where),
        other,
        str(values.get("language", language)),
    )
    label = values.get("label")
    if label is not None and not isinstance(label, str):
        raise DataError(f"{row.where}: label is {label!r}; allowed: a text")
    return LabelledItem(item, row.where, label, _violated(values.get("violated"), row.where))


def _text(values: Mapping[str, Any], key: str, where: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or (key == "question" and not value.strip()):
        missing = "is missing" if key not in values else f"is {value!r}; allowed: a text"
        raise DataError(f"{where}: {key} {missing}; a row has question and answer, of a pair other too")
    return value


def _golds(value: Any, where: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, str | int | float) or not str(one).strip():
            raise DataError(f"{where}: gold is {value!r}; allowed: a text or a list of texts")
    return tuple(map(str, listed))


def _violated(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError(f"{where}: violated is {value!r}; allowed: a list of rules' names, [] for none")
    return tuple(value)


def check_rows(rows: Sequence[LabelledItem], judge: Judge) -> None:
    """DataError where people gave a label that the judge does not have, or name a rule that is not there."""
    rules = [rule.name for rule in getattr(judge, "rules", ())]
    everything = [rule.name for rule in judge.read.rules] if rules else []  # type: ignore[attr-defined]
    for row in rows:
        if row.label is not None and row.label not in judge.labels:
            raise DataError(f"{row.where}: {unknown_name('label', row.label, judge.labels)}")
        for name in row.violated or ():
            if rules and name not in everything:
                raise DataError(f"{row.where}: violated: {unknown_name('rule', name, everything)}")


def report(judge: Judge, rows: Sequence[LabelledItem], graded: Sequence[Graded]) -> Report:
    """How far judge and people agree. Items that could not be graded are counted apart."""
    verdicts = [one.verdict for one in graded]
    held = [(row, v) for row, v in zip(rows, verdicts, strict=True) if v.label is not None]
    lost = [v for v in verdicts if v.label is None]
    named = [(row.label, v.label, v) for row, v in held if row.label is not None and v.label is not None]
    ruled = hasattr(judge, "rules") and any(row.violated is not None for row, _ in held)
    lines = _of_rules(held) if ruled else _of_labels(judge, named)
    agreed, found, confusion = None, None, {}
    if named:
        people, ours = [human for human, _, _ in named], [label for _, label, _ in named]
        counts = table(people, ours, judge.labels)
        agreed = share(sum(a == b for a, b in zip(people, ours, strict=True)), len(named))
        found = kappa(counts)
        confusion = {
            human: {label: int(n) for label, n in zip(judge.labels, line, strict=True)}
            for human, line in zip(judge.labels, counts, strict=True)
        }
    return Report(
        len(rows),
        dict(Counter(v.label for v in verdicts if v.label is not None)),
        dict(Counter(flag for v in lost for flag in v.flags)),
        dict(Counter(flag for _, v in held for flag in v.flags)),
        tuple(lines),
        agreed,
        found,
        confusion,
        Usage.total(one.usage for one in graded),
        PositionBias.of(verdicts),
    )


def _of_rules(held: Sequence[tuple[LabelledItem, Verdict]]) -> list[Line]:
    """A line a rule, and one for whether any is broken."""
    known = [(row.violated, v) for row, v in held if row.violated is not None]
    asked = list(known[0][1].probabilities)
    lines = [
        _line(
            name,
            [name in human for human, _ in known],
            [name in v.reasons for _, v in known],
            [v.probabilities[name] for _, v in known],
        )
        for name in asked
    ]
    any_human = [any(name in human for name in asked) for human, _ in known]
    most = [max(v.probabilities.values()) for _, v in known]
    return [*lines, _line(ANY, any_human, [bool(v.reasons) for _, v in known], most)]


def _of_labels(judge: Judge, named: Sequence[tuple[str, str, Verdict]]) -> list[Line]:
    """A line a label that people gave or the judge did."""
    met = {human for human, _, _ in named} | {label for _, label, _ in named}
    return [
        _line(
            label,
            [human == label for human, _, _ in named],
            [ours == label for _, ours, _ in named],
            [v.probabilities.get(label, float(ours == label)) for _, ours, v in named],
        )
        for label in judge.labels
        if label in met
    ]


def _line(name: str, human: Sequence[bool], ours: Sequence[bool], scores: Sequence[float]) -> Line:
    pairs = list(zip(human, ours, strict=True))
    words = ("no", "yes")
    counts = table([words[a] for a, _ in pairs], [words[b] for _, b in pairs], words)
    positive = sum(human)
    return Line(
        name,
        len(pairs),
        positive,
        share(sum(a == b for a, b in pairs), len(pairs)),
        share(sum(a and b for a, b in pairs), positive),
        share(sum(b and not a for a, b in pairs), len(pairs) - positive),
        area(scores, human),
        kappa(counts),
    )
