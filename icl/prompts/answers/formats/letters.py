"""Single letters that stand for something: those of choices, and verbalisers such as A and B."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import Candidate
from icl.prompts.answers.wording.languages import joint

LETTER, TEXT, WEAK = 0, 1, 2
"""Tiers: a letter written as one; a choice's text; a letter that may be a word ("A bank", "b")."""

_EDGE = r"[^\W_\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]"
_OPENING = lazy(r"[(\[{<*_\"'“`]")
_CLOSING = lazy(r"[)\]}>*_\"'”`.:,]")
_DELIMITED = lazy(r"[)\]}:\n]|\.(?:\s|$)|\*\*|$")
_ARTICLE = lazy(r"[ \t]+[\"'“]?[a-z\d]")
_SAID_OF_A_LETTER = lazy(
    r"[ \t]+(?:is|was|would|will|can|could|should|must|does|has|had|seems?|fits?|makes?|not|because|since|as|"
    r"and|or|but|for|with|though|if|it|which|that|so|when|where|given|based|due|over|in|on|to|here|again|rather|"
    r"by|from|after|he|she|they|we|you|there|this|these|the|\w+ly)\b"
)
"""What goes on after "A" as a letter; before any other small word "A" is the article."""
_SAID_OF_I = lazy(r"[ \t]+(?:is|because|since|as|seems?|fits?|given|based|due|here|rather|over)\b")
"""Likewise for "I", which before any other word is the person who writes."""
_NAMED = lazy(r"(?:\b(?:option|choice|letter|answer)|选项|选择|选)\s*$", re.IGNORECASE)
_ENDS = lazy(r"\)|[.\s]*$")


def letter_candidates(
    text: str, names: Mapping[str, str], announced: Sequence[int], language: str = "en"
) -> list[Candidate]:
    """Letters of `names` (written form -> value) in `text`; announced: where announcements end.

    "A" is mostly the article and "I" mostly a person: they count where something sets them off.
    """
    upper = {name.upper(): value for name, value in names.items()}
    if not upper:
        return []
    either = "|".join(re.escape(name) for name in sorted(upper, key=len, reverse=True))
    # In "vitamin-C", "C++" and "A's" a capital is part of something else
    alone = rf"(?<!{_EDGE})(?<![-'’+&])({either})(?!{_EDGE})(?!['’+&]\w|\+|-\w)"
    found = []
    for hit in re.finditer(alone, text, re.IGNORECASE):
        tier = _tier(text, hit, announced, language)
        if tier is not None:
            found.append(Candidate(*hit.span(), upper[hit[1].upper()], tier))
    return found


def _tier(text: str, hit: re.Match[str], announced: Sequence[int], language: str) -> int | None:
    start, end = hit.span()
    enclosed = start > 0 and _OPENING.match(text, start - 1) and _CLOSING.match(text, end)
    named = _NAMED.search(text[max(0, start - 10) : start])
    if enclosed or named:
        return LETTER
    if hit[1] in ("a", "i") and not _ENDS.match(text, end):
        return None
    here = any(at <= start and not text[at:start].strip(" \t\n:*\"'“") for at in announced)
    follows = _ARTICLE.match(text, end)
    said = follows and (_SAID_OF_I if hit[1] == "I" else _SAID_OF_A_LETTER).match(text, end)
    if hit[1] == "I" and not (said or _set_off(text, start, end, here)):
        return None
    if follows and not said and (link := joint(language).match(text, end)):
        said = link if link["word"] else None
    if hit[1] == "A" and follows and not said:
        return None
    capital = hit[1] == hit[1].upper()
    strong = capital and (_DELIMITED.match(text, end) or not follows or said)
    return LETTER if strong else WEAK


def _set_off(text: str, start: int, end: int, announced: bool) -> bool:
    """Whether "I" stands as an item of its own: announced, at the head of a line, or alone."""
    if not re.match(r"[)\].:,;*]|\s*$|\s*\n", text[end:]):
        return False
    return announced or not text[:start].rstrip(" \t*").strip() or text[:start].rstrip(" \t*").endswith("\n")
