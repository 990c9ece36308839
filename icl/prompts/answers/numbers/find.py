"""Numbers in running text, as exact fractions, and their canonical form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from icl.prompts.answers.numbers.figures import MAX_DIGITS, VULGAR, broken_run, figures, value_of
from icl.prompts.answers.numbers.spoken import numbers_spoken
from icl.prompts.answers.numbers.words import (
    CHINESE,
    ENGLISH,
    PART,
    SCALES,
    number_words,
    part_value,
    read_chinese,
    read_english,
    read_match,
)
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import NEVER_DIRECT, UNREADABLE, Candidate, narrow
from icl.prompts.answers.wording.languages import base, reads_comma

DIGITS, WORDS, LABELS, LISTED = 0, 1, 2, NEVER_DIRECT
"""Tiers: written in digits; in words, or an ordinal; part of a name or a step; a list's number."""

_AFTER = lazy(
    rf"(?P<percent>\s?\\?%)|\s?-?(?P<scale>{'|'.join(SCALES)})\b|(?P<short>[kKmMbB])(?![\w])|(?P<ordinal>st|nd|rd|th)\b"
    rf"|(?P<mixed>\s+and\s+{PART})(?:\s+(?P<mixedscale>{'|'.join(SCALES)})\b)?|\s+(?P<square>squared|cubed)\b",
    re.IGNORECASE,
)
_ANY_DIGIT = lazy(rf"[\d{VULGAR}]|\\[dt]?frac")
_PLAIN = lazy(
    rf"\d{{1,15}}(?:(?![\d\s.,:/⁄\-–+\\{{_'’eExX×*·^{VULGAR}⁻⁰¹²³⁴-⁹])|(?=[.,:\-](?!\d))|(?=\s(?:[b-wyzA-Z=+(%-]|a(?!nd))))",
    re.ASCII,
)
"""A whole number after which nothing follows that `figures` or `broken_run` could make more of."""
_LEADS = frozenset("$€£¥￥₹R")
"""What a currency has one of, within `_LEAD` characters before its number."""
_LEAD = 5
_ENDS = frozenset(["", *".,;:!?)]=+*/"])
"""Behind a number, what begins nothing that `_AFTER` reads."""
_TOUCHES = frozenset("-–+.\\")
"""What belongs to a number that it stands directly before."""
_SHORT = {"k": 10**3, "m": 10**6, "b": 10**9}
_STEP = lazy(r"\b(?:steps?|part|case|method|equation|problem|question|example)\s*#?$", re.IGNORECASE)
_STEP_ENDS = ("p", "ps", "part", "case", "method", "tion", "problem", "example", "#")
_OPERAND = lazy(r"[\d)\]}%]\s+$")
_NEGATIVE = lazy(r"\b(?:minus|negative|menos|moins)\s$|负$", re.IGNORECASE)
_CLOSED = lazy(r"[\d)\]}%]\s+minus\s$", re.IGNORECASE)
_CENTS = lazy(r"\s*(?:(?:dollars?|euros?|pounds?|bucks)\s*(?:,|and)?|and|,)\s*", re.IGNORECASE)
_MONEY = lazy(r"\s*(?:dollars?|euros?|pounds?|bucks)\b", re.IGNORECASE)
_CENT = lazy(r"\s*-?(?:cents?\b|pence\b|¢)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text."""

    start: int
    end: int
    value: Fraction | None
    """None: digits that are not one number ("3,5" in English, "10:30")."""
    tier: int


_TOO_LONG = 10**MAX_DIGITS


def canonical(value: Fraction) -> str | None:
    """ "72", "-0.5", or "1/3" where the decimals would not end; None when it is too long to be an answer."""
    top, bottom = value.numerator, value.denominator
    if bottom == 1:
        return str(top) if -_TOO_LONG < top < _TOO_LONG else None
    if abs(top) >= _TOO_LONG or bottom >= _TOO_LONG:
        return None
    twos = fives = 0
    rest = bottom
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > MAX_DIGITS:
        return f"{top}/{bottom}"
    whole, decimals = divmod(abs(top) * 10**places // bottom, 10**places)
    return f"{'-' if top < 0 else ''}{whole}.{decimals:0{places}d}"


def _tier(text: str, currency: bool, start: int) -> int:
    """ "x2" and "CO2" are names, "Step 2" is a label; neither is meant as an answer."""
    before = text[start - 1 : start]
    if not currency and before.isascii() and (before.isalpha() or before == "_"):
        return LABELS
    words = text[max(0, start - 16) : start].rstrip()
    return LABELS if words.casefold().endswith(_STEP_ENDS) and _STEP.search(words) else DIGITS


def _in_digits(text: str, comma: bool) -> Iterator[Number]:
    pattern, at = figures(comma), 0
    while near := _ANY_DIGIT.search(text, at):
        if (plain := _plain(text, near.start())) is not None:
            at = plain.end()
            yield _signed(text, plain.span(), _whole(plain.group()))
            continue
        hit = pattern.search(text, max(at, near.start() - 6))
        if hit is None:
            return
        at = hit.end()
        if (run := broken_run(text, hit)) is not None:
            start, at, clock = run
            yield Number(start, at, None, LABELS if clock else DIGITS)
            continue
        if hit.end() - hit.start() > MAX_DIGITS or (value := value_of(hit, comma)) is None:
            if hit["power"] or hit["exp"] or hit["super"]:
                yield Number(hit.start(), hit.end(), None, DIGITS)
            continue
        currency = bool(hit["currency"])
        yield _signed(text, hit.span(), value, hit["sign"] or "", currency, minus=bool(hit["inner"]))


def _plain(text: str, at: int) -> re.Match[str] | None:
    """The digits at `at`, where they are a number without sign, currency, separators or anything behind that
    belongs to it; None where it takes `figures` to tell."""
    if text[at - 1 : at] in _TOUCHES or not _LEADS.isdisjoint(text[max(0, at - _LEAD) : at]):
        return None
    return _PLAIN.match(text, at)


@lru_cache(maxsize=4096)
def _whole(digits: str) -> Fraction:
    return Fraction(int(digits))


def _signed(
    text: str,
    span: tuple[int, int],
    value: Fraction,
    sign: str = "",
    currency: bool = False,
    *,
    minus: bool = False,
) -> Number:
    """A number with the sign before it and what stands behind it; minus: one behind the currency."""
    start, end = span
    before = text[max(0, start - 12) : start]
    if sign and _OPERAND.search(before):
        sign, start = "", start + 1  # "20 -12": an operator
    negative = sign in ("-", "–") or minus
    if before[-2:-1] in "sSeEſ" or before[-1:] == "负":
        negative = negative or bool(_NEGATIVE.search(before) and not _CLOSED.search(before))
    tier = _tier(text, currency, start)
    after = None if text[end : end + 1] in _ENDS else _AFTER.match(text, end)
    if after and after["short"] and not currency:
        after = None  # "5k" may be a race, "5m" a length
    if after:
        end = after.end()
        if after["scale"]:
            value *= SCALES[after["scale"].casefold()]
        if after["short"]:
            value *= _SHORT[after["short"].casefold()]
        if after["mixed"]:
            value = (value + part_value(after["mixed"])) * SCALES.get(
                (after["mixedscale"] or "").casefold(), Fraction(1)
            )
        if after["square"] and abs(value) < 10**MAX_DIGITS:
            value = value ** (2 if after["square"].casefold() == "squared" else 3)
        tier = max(tier, WORDS) if after["ordinal"] else tier
    return Number(start, end, -value if negative else value, tier)


def _in_words(text: str) -> Iterator[Number]:
    at = 0
    for near_start, near_end in number_words(text):
        if near_start < at:
            continue
        # A word of a number; the number itself may begin a little before it ("minus 3 hundred")
        hit = next(
            (
                h
                for h in ENGLISH.finditer(text, max(at, near_start - 32), near_end + 400)
                if h.end() >= near_end
            ),
            None,
        )
        if hit is None:
            at = near_end
            continue
        at = max(hit.end(), near_end)
        value = read_match(hit)
        if value is not None:
            weak = hit.group().lower() in (
                "one",
                "half",
                "a half",
                "a third",
                "a quarter",
            )  # mostly no answers
            mixed = hit["words"] and hit["words"][0].isdigit()
            yield Number(
                *hit.span(), -value if hit["sign"] else value, LABELS if weak else DIGITS if mixed else WORDS
            )
            continue
        for piece in re.finditer(r"(?:(?!\s+and\s).)+", hit["words"] or ""):
            part = read_english(piece.group().removeprefix(" and "))
            if part is not None and " and " in hit["words"]:
                start = hit.start("words") + piece.start()
                start += len(piece.group()) - len(re.sub(r"^\s*and\s+", "", piece.group()).lstrip())
                yield Number(start, hit.start("words") + piece.end(), part, WORDS)


def _in_chinese(text: str, *, short: bool) -> Iterator[Number]:
    for hit in CHINESE.finditer(text):
        value = read_chinese(hit["mixed"] or hit["num"], short=short)
        if value is None:
            continue
        if hit["den"]:
            bottom = read_chinese(hit["den"], short=short)
            if not bottom:
                continue
            value = value / bottom
        if hit["mixed"]:
            yield Number(*hit.span(), -value if text[: hit.start()].endswith("负") else value, DIGITS)
            continue
        lone = hit.group() in ("一", "两", "千", "万", "亿", "百")  # mostly part of another word
        yield Number(*hit.span(), -value if hit["sign"] else value, LABELS if lone else WORDS)


def _in_other_words(text: str, language: str) -> Iterator[Number]:
    for span, value, weak in numbers_spoken(text, language):
        yield Number(*span, Fraction(value), LABELS if weak else WORDS)


def _enumerators(text: str) -> frozenset[int]:
    """Positions of the numbers of a numbered list: line heads n and n + 1 both occur."""
    heads = [(hit.start(1), int(hit[1])) for hit in re.finditer(r"(?m)^[^\S\n]*(\d{1,2})[.)、]\s+\S", text)]
    values = {value for _, value in heads}
    return frozenset(at for at, value in heads if {value - 1, value + 1} & values)


def find_numbers(text: str, language: str = "en") -> list[Number]:
    """Every number in `text`, in order of its position, none inside another of a better tier.

    language: where a comma begins the decimals, it does so here ("de": 1.234,5).
    """
    text = narrow(text)
    listed = _enumerators(text)
    found = [
        Number(n.start, n.end, n.value, LISTED) if n.start in listed else n
        for n in (
            *_in_words(text),
            *_in_other_words(text, base(language)),
            *(() if text.isascii() else _in_chinese(text, short=base(language) != "ja")),
            *_in_digits(text, reads_comma(language)),
        )
    ]
    found.sort(key=lambda n: (n.start, -n.end))
    kept: list[Number] = []
    for number in found:
        if not kept or number.start >= kept[-1].end:
            if kept and (whole := _with_cents(kept[-1], number, text)) is not None:
                kept[-1] = whole
            else:
                kept.append(number)
    return kept


def _with_cents(first: Number, second: Number, text: str) -> Number | None:
    """ "34 dollars and 72 cents" as one number."""
    cent = _CENT.match(text, second.end)
    if (
        cent is None
        or first.value is None
        or second.value is None
        or not 0 <= second.value < 100
        or second.value.denominator > 1
    ):
        return None
    money = text[first.start : first.start + 1] in "$€£" or _MONEY.match(text, first.end)
    if not (money and _CENTS.fullmatch(text, first.end, second.start)):
        return None
    part = second.value / 100
    return Number(
        first.start, cent.end(), first.value - part if first.value < 0 else first.value + part, first.tier
    )


def as_candidate(number: Number) -> Candidate:
    """The number in canonical form."""
    name = None if number.value is None else canonical(number.value)
    return Candidate(number.start, number.end, UNREADABLE if name is None else name, number.tier)


def as_number(text: str, language: str = "en") -> Fraction | None:
    """The value of a text that holds one number (with its unit or currency); None otherwise."""
    numbers = find_numbers(text, language)
    strong = [n for n in numbers if n.tier == DIGITS] or numbers
    return strong[0].value if len(strong) == 1 else None
