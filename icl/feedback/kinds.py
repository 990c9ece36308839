"""The kinds of annotations: which columns say what, and a row of each as an `Annotation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from icl.errors import DataError
from icl.feedback.annotations import (
    BEST,
    NO,
    PAIRWISE,
    RANKING,
    RULES,
    SCALE,
    YES,
    Annotation,
    Said,
    pair_said,
)
from icl.feedback.cells import Cells

COMMON = ("item", "annotator", "prompt")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a row of a kind has beside item, annotator and prompt."""

    sign: str
    """The column by which the kind is known."""
    needed: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All that are read."""
        return (*COMMON, *self.needed, *self.optional)


KIND: Mapping[str, Kind] = {
    PAIRWISE: Kind("winner", ("a", "b", "winner"), ("text_a", "text_b")),
    BEST: Kind("best", ("candidates", "best"), ("texts",)),
    RANKING: Kind("ranking", ("ranking",), ("candidates", "texts")),
    SCALE: Kind("value", ("value",), ("candidate", "quality", "text")),
    RULES: Kind("violated", ("violated",), ("rules", "candidate")),
}
SIDES = {"a": 1.0, "b": 0.0, "tie": 0.5}


def pairwise(start: Annotation, cells: Cells) -> Annotation:
    """Two candidates, and which is better: a, b or tie. DataError for a row without both sides."""
    a, b = cells.name("a"), cells.name("b")
    winner = cells.name("winner")
    if a == b:
        raise DataError(f"{start.where}: a and b are both {a!r}; a pair has two candidates")
    if winner not in SIDES:
        raise cells.error("winner", winner, "a, b, tie")
    tiers = {"a": ((a,), (b,)), "b": ((b,), (a,)), "tie": ((a, b),)}[winner]
    texts = {
        name: text for name, key in ((a, "text_a"), (b, "text_b")) if (text := cells.text(key)) is not None
    }
    row = replace(start, tiers=tiers, texts=texts)
    return replace(row, said=pair_said(row))


def best(start: Annotation, cells: Cells) -> Annotation:
    """Which of n candidates is the best. DataError for several best ones and for one that is no candidate."""
    candidates = cells.names("candidates")
    if candidates is None:
        raise DataError(f"{start.where}: candidates is missing; {cells.needs}")
    chosen = cells.names("best")
    if chosen is None:
        raise DataError(f"{start.where}: best is missing; {cells.needs}")
    for name in chosen:
        cells.check("best", name, candidates)
    if len(chosen) != 1:
        raise cells.error("best", list(chosen), "one candidate; ties are for rankings")
    if len(candidates) < 2:
        raise cells.error("candidates", list(candidates), "two or more")
    rest = tuple(name for name in candidates if name != chosen[0])
    said = Said("", start.item, "", start.annotator, chosen[0], start.where)
    return replace(start, said=(said,), tiers=(chosen, rest), texts=cells.texts("texts", candidates))


def ranking(start: Annotation, cells: Cells) -> Annotation:
    """All candidates in an order. DataError for one that is no candidate, and for one that is left out."""
    tiers = cells.tiers("ranking")
    ranked = tuple(name for tier in tiers for name in tier)
    candidates = cells.names("candidates") or ranked
    for name in ranked:
        cells.check("ranking", name, candidates)
    missing = [name for name in candidates if name not in ranked]
    if missing:
        raise DataError(f"{start.where}: ranking leaves out {missing[0]!r} of {len(candidates)} candidates")
    if len(ranked) < 2:
        raise cells.error("ranking", list(ranked), "two candidates or more")
    row = replace(start, tiers=tiers, texts=cells.texts("texts", candidates))
    return replace(row, said=pair_said(row))


def scale(start: Annotation, cells: Cells) -> Annotation:
    """A number for an answer, perhaps of one quality of it."""
    candidate, text = cells.maybe("candidate"), cells.text("text")
    said = Said(
        cells.maybe("quality") or "",
        start.item,
        candidate or "",
        start.annotator,
        cells.number("value"),
        start.where,
    )
    texts = {candidate: text} if candidate is not None and text is not None else {}
    return replace(start, said=(said,), texts=texts)


def rules(start: Annotation, cells: Cells, known: tuple[str, ...]) -> Annotation:
    """Which rules an answer breaks; `known`: all rules of the file, asked where the row does not say
    which."""
    violated = cells.names("violated")
    if violated is None:
        raise DataError(f"{start.where}: violated is missing; {cells.needs}, in CSV [] where none is")
    asked = cells.names("rules")
    asked = known if asked is None else asked
    for name in violated:
        cells.check("violated", name, asked, "rule")
    candidate = cells.maybe("candidate") or ""
    said = tuple(
        Said(rule, start.item, candidate, start.annotator, YES if rule in violated else NO, start.where)
        for rule in asked
    )
    return replace(start, said=said)


PARSERS: Mapping[str, Callable[[Annotation, Cells], Annotation]] = {
    PAIRWISE: pairwise,
    BEST: best,
    RANKING: ranking,
    SCALE: scale,
}
