"""Multiple choice: the letter of a choice, or its text."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from icl.prompts.answers.formats.letters import LETTER, TEXT, WEAK, letter_candidates
from icl.prompts.answers.numbers.find import DIGITS, as_number, find_numbers
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import Candidate, narrow, word_pattern
from icl.prompts.answers.wording.languages import OFF_LIST
from icl.prompts.answers.wording.negation import compound, denied
from icl.prompts.answers.wording.triggers import trigger_ends
from icl.types import Query

MAX_CHOICE = 400
"""A longer choice is never repeated word for word, and would make a slow pattern."""


def choice_candidates(text: str, query: Query, language: str = "en") -> list[Candidate]:
    """Letters among the query's choices, and the choices' texts, that occur in `text` and are not denied
    there."""
    text = narrow(text)
    texts = _texts(text, query)
    # In "A bank" and "B vitamins" the letter is part of a choice's text
    spans = [(c.start, c.end) for c in texts if c.end - c.start > 1]
    announced = trigger_ends(text, language)
    letters = [
        c
        for c in letter_candidates(text, {letter: letter for letter in query.choices}, announced, language)
        if not any(a <= c.start < b or (c.tier == WEAK and a == c.end + 1) for a, b in spans)
    ]
    found = [*letters, *texts, *_values(text, query, language)]
    if echo := _echo(text, query):
        letters, texts, found = (
            [c for c in these if not echo[0] <= c.start < echo[1]] for these in (letters, texts, found)
        )
    texts_denied = denied(text, texts, language, no=True)
    refused = {texts[at] for at in texts_denied} | {
        letters[at] for at in denied(text, letters, language, after=True)
    }
    if not refused:
        return found
    # A choice that is denied by its letter is denied by the text beside it: "(A) ant is wrong"
    return [c for c in found if c not in refused]


def _echo(text: str, query: Query) -> tuple[int, int] | None:
    """Span of the first list of all choices, a line each, that only repeats the question."""
    lines = [
        rf"[ \t]*[(\[]?{re.escape(letter)}[)\].:、]+\s*{re.escape(narrow(body).strip())}[ \t.。]*"
        for letter, body in query.choices.items()
        if body.strip() and len(body) <= MAX_CHOICE
    ]
    if len(lines) < max(2, len(query.choices)):
        return None
    hit = re.search("(?m)^" + r"\n+".join(lines) + "$", text, re.IGNORECASE)
    return hit.span() if hit else None


def _texts(text: str, query: Query) -> list[Candidate]:
    """The texts of the choices; a longer one hides the shorter ones inside it."""
    tidy = {letter: " ".join(narrow(body).split()).rstrip(".。") for letter, body in query.choices.items()}
    counts = Counter(body.lower() for body in tidy.values())
    found: list[Candidate] = []
    lowered = text.lower()
    for letter, body in sorted(tidy.items(), key=lambda item: -len(item[1])):
        if not body or len(body) > MAX_CHOICE or counts[body.lower()] > 1:
            continue
        if body.split()[0].split("-")[0].lower() not in lowered:
            continue
        number = body[-1:].isdigit() or body[:1].isdigit()
        guard = (r"(?<![\d.,])", r"(?![.,]?\d)") if number else ("", "")
        for hit in re.finditer(guard[0] + word_pattern(body) + guard[1], text, re.IGNORECASE):
            if any(c.start < hit.end() and hit.start() < c.end for c in found):
                continue
            if not number and compound(text, *hit.span()):
                continue
            found.append(Candidate(*hit.span(), letter, TEXT))
    return found


def _values(text: str, query: Query, language: str) -> list[Candidate]:
    """Numbers equal to the one number of exactly one choice: "1,200.0" for "$1200"."""
    values: dict[Fraction, list[str]] = {}
    for letter, body in query.choices.items():
        value = as_number(body, language) if len(body) <= 24 and any(c.isdigit() for c in body) else None
        if value is not None:
            values.setdefault(value, []).append(letter)
    if not values:
        return []
    numbers = [
        (n, values[n.value][0])
        for n in find_numbers(text, language)
        if n.tier == DIGITS and n.value is not None and len(values.get(n.value, ())) == 1
    ]
    return [Candidate(n.start, n.end, letter, TEXT) for n, letter in numbers]


_FOREIGN = lazy(
    r"(?:\s|[(\[{*_\"'“:：]|\\(?:text|mathrm|mathbf|textbf)|(?:option|choice)\s)*([A-Za-z])(?=[)\]}*\"'”.:,]|\s*$|\s*\n)"
)
_OPENER = lazy(
    r"\s*(?:\w+(?:ed|ing|ly)|in|on|at|by|to|from|with|as|that|this|it|what|which|because|if|here|there|below|above|following|correct|right|"
    r"wrong|found|given|shown|known|simple|easy|obvious|clear|not|based|now|also|the\s+(?:following|same|one|option|choice)|option|choice|"
    r"most|best|only|so|therefore)\b",
    re.IGNORECASE,
)


def chooses_elsewhere(text: str, start: int, end: int, query: Query) -> bool:
    """Whether what is announced at text[start:end] is no choice on offer: another letter, "none of the
    above", a text of its own."""
    said = text[start:end]
    if OFF_LIST.search(said):
        return True
    letter = _FOREIGN.match(said)
    if letter:
        return (
            letter[1].upper() not in {name.upper() for name in query.choices}
            and letter[1].upper() not in "AI"
        )
    words = re.findall(r"[^\W_]+", said)
    return 0 < len(words) <= 6 and not _OPENER.match(said)


__all__ = ["LETTER", "TEXT", "WEAK", "choice_candidates", "chooses_elsewhere"]
