"""Multiple choice: the letter of a choice, or its text."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from icl.prompts.answers.numbers import DIGITS, as_number, find_numbers
from icl.prompts.answers.reading import Candidate, narrow, word_pattern
from icl.prompts.answers.triggers import trigger_ends
from icl.types import Query

LETTER, TEXT, WEAK = 0, 1, 2
"""Tiers: a letter written as one; a choice's text; a letter that may be a word ("A bank", "b")."""

MAX_CHOICE = 400
"""A longer choice is never repeated word for word, and would make a slow pattern."""


_EDGE = r"[^\W_\u3400-\u9fff]"
_OPENING = re.compile(r"[(\[{<*_\"'“`]")
_CLOSING = re.compile(r"[)\]}>*_\"'”`.:,]")
_DELIMITED = re.compile(r"[)\]:\n]|\.(?:\s|$)|\*\*|$")
_ARTICLE = re.compile(r"[ \t]+[\"'“]?[a-z\d]")
_SAID_OF_A_LETTER = re.compile(
    r"[ \t]+(?:is|was|would|will|can|could|should|must|does|has|had|seems?|fits?|makes?|not|because|since|as|"
    r"and|or|but|for|with|though|if|it|which|that|so|when|where|given|based|due|over|in|on|to)\b"
)
"""What goes on after "A" as a letter; before any other small word "A" is the article."""
_NAMED = re.compile(r"(?:\b(?:option|choice)|选项|选择|选)\s*$", re.IGNORECASE)
_ENDS = re.compile(r"\)|[.\s]*$")


def choice_candidates(text: str, query: Query) -> list[Candidate]:
    """Letters among the query's choices, and the choices' texts, that occur in `text`."""
    text = narrow(text)
    texts = _texts(text, query)
    # In "A bank" and "B vitamins" the letter is part of a choice's text
    spans = [(c.start, c.end) for c in texts if c.end - c.start > 1]
    letters = [
        c
        for c in _letters(text, query)
        if not any(a <= c.start < b or (c.tier == WEAK and a == c.end + 1) for a, b in spans)
    ]
    return [*letters, *texts, *_values(text, query)]


def _letters(text: str, query: Query) -> list[Candidate]:
    names = {letter.upper(): letter for letter in query.choices}
    if not names:
        return []
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    # In "vitamin-C", "C++" and "A's" a capital is part of something else
    alone = rf"(?<!{_EDGE})(?<![-'’+&])({either})(?!{_EDGE})(?!['’+&]\w|\+|-\w)"
    announced = trigger_ends(text)
    found = []
    for hit in re.finditer(alone, text, re.IGNORECASE):
        start, end = hit.span()
        enclosed = start > 0 and _OPENING.match(text, start - 1) and _CLOSING.match(text, end)
        named = _NAMED.search(text[max(0, start - 10) : start])
        article = hit[1] in ("A", "I") and _ARTICLE.match(text, end)
        if hit[1] in ("a", "i") and not (enclosed or named or _ENDS.match(text, end)):
            continue
        said = article and _SAID_OF_A_LETTER.match(text, end)
        here = any(at <= start and not text[at:start].strip() for at in announced)
        if hit[1] == "A" and article and not (enclosed or named or said or here):
            continue
        capital = hit[1] == hit[1].upper()
        strong = enclosed or named or (capital and (_DELIMITED.match(text, end) or not article or said))
        found.append(Candidate(start, end, names[hit[1].upper()], LETTER if strong else WEAK))
    return found


def _texts(text: str, query: Query) -> list[Candidate]:
    """The texts of the choices; a longer one hides the shorter ones inside it."""
    tidy = {letter: " ".join(narrow(body).split()).rstrip(".。") for letter, body in query.choices.items()}
    counts = Counter(body.lower() for body in tidy.values())
    found: list[Candidate] = []
    for letter, body in sorted(tidy.items(), key=lambda item: -len(item[1])):
        if not body or len(body) > MAX_CHOICE or counts[body.lower()] > 1:
            continue
        number = body[-1:].isdigit() or body[:1].isdigit()
        guard = (r"(?<![\d.,])", r"(?![.,]?\d)") if number else ("", "")
        for hit in re.finditer(guard[0] + word_pattern(body) + guard[1], text, re.IGNORECASE):
            if not any(c.start < hit.end() and hit.start() < c.end for c in found):
                found.append(Candidate(*hit.span(), letter, TEXT))
    return found


def _values(text: str, query: Query) -> list[Candidate]:
    """Numbers equal to the one number of exactly one choice: "1,200.0" for "$1200"."""
    values: dict[Fraction, list[str]] = {}
    for letter, body in query.choices.items():
        value = as_number(body) if len(body) <= 24 and any(c.isdigit() for c in body) else None
        if value is not None:
            values.setdefault(value, []).append(letter)
    if not values:
        return []
    numbers = [n for n in find_numbers(text) if n.tier == DIGITS and len(values.get(n.value, ())) == 1]
    return [Candidate(n.start, n.end, values[n.value][0], TEXT) for n in numbers]
