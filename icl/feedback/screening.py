"""Annotators held against a reference set. Whoever is kept was chosen by it, so nothing is scored on it:
agreement, strengths and pairs are of the other items only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from icl.errors import DataError, nearest
from icl.feedback.agreement import plain, same
from icl.feedback.annotations import Feedback, Said
from icl.feedback.resampling import Bootstrap
from icl.metrics.shared.agreement import Estimate

LEAST = 0.75
"""Share from which an annotator is kept. InstructGPT's labellers were chosen so, roughly (Ouyang et al.
2022, B.1)."""


@dataclass(frozen=True, slots=True)
class Screened:
    """One annotator against the reference."""

    annotator: str
    items: int
    """Of the reference that they annotated."""
    same: Estimate | None
    """Share of the reference's values that they gave; None without items: kept out, as nothing speaks for
    them."""
    kept: bool
    left: int
    """Their other items, on which they are scored if they are kept."""


@dataclass(frozen=True, slots=True)
class Screening:
    """All annotators against a reference."""

    reference: str
    least: float
    items: int
    """Items of the reference that anybody annotated: in no figure but this one."""
    annotators: tuple[Screened, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        told = [
            {
                "annotator": a.annotator,
                "items": a.items,
                "same": plain(a.same),
                "kept": a.kept,
                "left": a.left,
            }
            for a in self.annotators
        ]
        return {
            "reference": self.reference,
            "least": self.least,
            "items_left_out": self.items,
            "annotators": told,
        }


def screen(
    feedback: Feedback, reference: Feedback, bootstrap: Bootstrap, least: float = LEAST, within: float = 0.0
) -> tuple[Screening, Feedback]:
    """Who reaches `least`, and what those said of items outside the reference.

    within: values of a scale no further apart are the same. DataError where the reference is of another kind
    or says two things of one value, where nobody annotated any of it, where nobody is kept, and where
    nothing is left.
    """
    gold = _gold(feedback, reference)
    items = set(reference.items)
    known = {(one.question, one.item, one.unit) for one in feedback.said}
    if not known & set(gold):
        first = reference.items[0]
        guess = nearest(first, feedback.items)
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise DataError(
            f"{reference.file}: nothing of its {len(items)} items is in {feedback.file} "
            f"(its first is {first!r}).{hint}"
        )
    found = tuple(
        _screened(feedback, name, gold, items, bootstrap, least, within) for name in feedback.annotators
    )
    kept = {one.annotator for one in found if one.kept}
    if not kept:
        most = max((one.same.value for one in found if one.same), default=0.0)
        raise DataError(
            f"{feedback.file}: none of {len(found)} annotators says the same as {reference.file} in "
            f"{least:g} of the cases; the nearest does in {most:.2f}: --least"
        )
    rest = feedback.where(lambda row: row.annotator in kept and row.item not in items)
    if not rest.rows:
        raise DataError(
            f"{feedback.file}: the annotators that are kept annotated items of {reference.file} only; "
            "nothing is left"
        )
    met = len(items & set(feedback.items))
    return Screening(reference.file, least, met, found), rest


def _gold(feedback: Feedback, reference: Feedback) -> Mapping[tuple[str, str, str], Said]:
    if reference.kind != feedback.kind:
        raise DataError(
            f"{reference.file}: is of kind {reference.kind}, and {feedback.file} of kind {feedback.kind}"
        )
    if not (reference.named_items and feedback.named_items):
        lacking = feedback if reference.named_items else reference
        raise DataError(f"{lacking.rows[0].where}: item is missing; a reference goes by the items")
    gold: dict[tuple[str, str, str], Said] = {}
    for one in reference.said:
        before = gold.setdefault((one.question, one.item, one.unit), one)
        if before.value != one.value:
            raise DataError(
                f"{one.where}: the reference says {one.value!r} of item {one.item!r}, and {before.value!r} "
                f"in {before.where}; it has to say one thing"
            )
    return gold


def _screened(
    feedback: Feedback,
    name: str,
    gold: Mapping[tuple[str, str, str], Said],
    reference: set[str],
    bootstrap: Bootstrap,
    least: float,
    within: float,
) -> Screened:
    own = feedback.by(name)
    places = {item: at for at, item in enumerate(own.items)}
    hits, of = np.zeros(len(places)), np.zeros(len(places))
    for one in own.said:
        told = gold.get((one.question, one.item, one.unit))
        if told is not None:
            hits[places[one.item]] += same(one.value, told.value, within)
            of[places[one.item]] += 1
    agreed = bootstrap.share(hits, of, "screening", name)
    left = sum(item not in reference for item in own.items)
    return Screened(name, int((of > 0).sum()), agreed, agreed is not None and agreed.value >= least, left)
