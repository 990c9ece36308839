"""Two answers given side by side: "(A) and (B)", "12 or 13", "yes and no"."""

from __future__ import annotations

from collections.abc import Sequence

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import NEVER_DIRECT, Candidate
from icl.prompts.answers.wording.languages import joint

_UNITS = lazy(r"(?:\s*(?!(?:and|or|nor|plus|with|y|o|et|ou|und|oder|e)\b)[^\W\d_]{1,15}){0,2}")
_CLOSES = lazy(r"[)\]\"'”’*}]*\s*(?:[.!?。]?\s*$|[.!?。](?=\s)|[\n,、，]|\s(?:and|or)\b)")
_BARE_STOP = lazy(r"[.!?]\s")


def rival(
    text: str, chosen: Candidate, candidates: Sequence[Candidate], language: str, *, units: bool
) -> Candidate | None:
    """Another answer that stands beside `chosen` as its equal; None where it stands alone.

    units: words may follow a number ("12 apples and 13 pears").
    """
    usable = [c for c in candidates if c.tier < NEVER_DIRECT]
    return _on_side(text, chosen, usable, language, units, 1) or _on_side(
        text, chosen, usable, language, units, -1
    )


def _on_side(
    text: str, chosen: Candidate, candidates: Sequence[Candidate], language: str, units: bool, step: int
) -> Candidate | None:
    ordered = sorted(candidates, key=lambda c: step * c.start)
    here = chosen
    for c in ordered:
        if step * c.start <= step * here.start or (c.start < here.end and here.start < c.end):
            continue
        first, second = (here, c) if step > 0 else (c, here)
        if not _joined(text, first, second, language, units):
            if (
                c.value == chosen.value
                and len(text[first.end : second.start].strip(" ()[]\"'*.:,-–{}\n")) == 0
            ):
                here = c
                continue
            return None
        if c.value != chosen.value:
            return c
        here = c
    return None


def _joined(text: str, first: Candidate, second: Candidate, language: str, units: bool) -> bool:
    between = text[first.end : second.start]
    if len(between) > 60 or _BARE_STOP.match(between.lstrip(")]\"'”’*} ")):
        return False
    at = first.end
    if units:
        unit = _UNITS.match(text, at, second.start)
        at = unit.end() if unit else at
    link = joint(language).fullmatch(text, at, second.start) or joint(language).fullmatch(between)
    if link is None:
        return False
    if link["comma"] is None:
        return True
    end = second.end
    if units and (unit := _UNITS.match(text, end)):
        end = unit.end()
    return _CLOSES.match(text, end) is not None or _CLOSES.match(text, second.end) is not None
