"""Numbers in running text, as exact fractions, and their canonical form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from icl.prompts.answers.reading import NEVER_DIRECT, Candidate, narrow
from icl.prompts.answers.words import CHINESE, ENGLISH, SCALES, read_chinese, read_english

MAX_DIGITS = 300
"""A longer run of digits is no answer, and Python refuses to convert very long ones."""
MAX_EXPONENT = 4
"""Characters of an exponent, its sign included: the exact value of 10⁹⁹⁹⁹⁹⁹⁹⁹⁹ would fill the memory."""

DIGITS, WORDS, LABELS, LISTED = 0, 1, 2, NEVER_DIRECT
"""Tiers: written in digits; in words, or an ordinal; part of a name or a step; a list's number."""

_INT = r"\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+(?!\d)|\d{1,3}(?:,\d{2})+,\d{3}(?!\d)|\d+"
_VULGAR = "".join(chr(c) for c in [*range(0xBC, 0xBF), *range(0x2150, 0x215F)])
_CURRENCY = r"(?:\\?\$|[€£¥￥₹]|US\$|Rs\.?\s?)"
_SIGN = r"(?P<sign>(?<![\w)\]}%.])[-+–](?=\\?[$€£¥￥₹.\d\\]|US\$|Rs))"
_NUMBER = re.compile(
    rf"{_SIGN}?(?:(?P<currency>{_CURRENCY})\s?(?P<inner>-(?=[\d.]))?)?"
    rf"(?:"
    rf"(?P<whole>\d{{1,9}})?\s?\\[dt]?frac\s?\{{\s?(?P<ltop>{_INT})\s?\}}\s?\{{\s?(?P<lbottom>{_INT})\s?\}}"
    rf"|(?P<mixed>\d{{1,9}})(?:\s+|\s+and\s+)(?P<mtop>\d{{1,4}})\s?[/⁄]\s?(?P<mbottom>\d{{1,4}})(?![\d/⁄]|[.,]\d)"
    rf"|(?P<vwhole>\d{{1,9}})?\s?(?P<vulgar>[{_VULGAR}])"
    rf"|(?P<top>{_INT})(?:\s?[/⁄]\s?)(?P<bottom>{_INT})(?![\d/⁄]|[.,]\d)"
    rf"|(?:(?P<int>{_INT})(?P<decimals>\.\d+)?|(?<![\d.])(?P<bare>\.\d+))"
    rf"(?:(?:[eE](?P<exp>[-+]?\d{{1,3}})(?!\w|\.\d))"
    rf"|(?:\s?(?:[x×*·]|\\times|\\cdot)\s?10\s?(?:\^\s?\{{?\s?(?P<power>[-+]?\d{{1,3}})\s?\}}?|(?P<super>[⁻⁰¹²³⁴-⁹]+))))?"
    rf")"
)
_AFTER = re.compile(
    rf"(?P<percent>\s?\\?%)|\s?(?P<scale>{'|'.join(SCALES)})\b|(?P<short>[kKmMbB])(?![\w])|(?P<ordinal>st|nd|rd|th)\b",
    re.IGNORECASE,
)
_SHORT = {"k": 10**3, "m": 10**6, "b": 10**9}
_SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_STEP = re.compile(r"\b(?:steps?|part|case|method|equation|problem|question|example)\s*#?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text."""

    start: int
    end: int
    value: Fraction
    tier: int


def canonical(value: Fraction) -> str | None:
    """ "72", "-0.5", or "1/3" where the decimals would not end; None when it is too long to be an answer."""
    top, bottom = value.numerator, value.denominator
    if abs(top) >= 10**MAX_DIGITS or bottom >= 10**MAX_DIGITS:
        return None
    if bottom == 1:
        return str(top)
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


def _integer(digits: str) -> int:
    return int(re.sub(r"\D", "", digits))


def _value(hit: re.Match[str]) -> Fraction | None:
    """The unsigned value of a match of `_NUMBER`."""
    part = hit.groupdict()
    if part["ltop"]:
        whole, top, bottom = part["whole"] or "0", part["ltop"], part["lbottom"]
    elif part["mtop"]:
        whole, top, bottom = part["mixed"], part["mtop"], part["mbottom"]
    elif part["vulgar"]:
        vulgar = Fraction(unicodedata.numeric(part["vulgar"])).limit_denominator(1000)
        return vulgar + _integer(part["vwhole"] or "0")
    elif part["top"]:
        whole, top, bottom = "0", part["top"], part["bottom"]
    else:
        decimals = part["decimals"] or part["bare"] or ""
        value = Fraction(f"{_integer(part['int'] or '0')}{decimals}")
        exponent = part["exp"] or part["power"] or (part["super"] or "0").translate(_SUPERSCRIPT)
        if len(exponent) > MAX_EXPONENT:
            return None
        try:
            return value * Fraction(10) ** int(exponent)
        except ValueError:  # superscripts such as "⁻" alone
            return value
    if _integer(bottom) == 0:
        return None
    return _integer(whole) + Fraction(_integer(top), _integer(bottom))


def _tier(text: str, hit: re.Match[str], start: int) -> int:
    """ "x2" and "CO2" are names, "Step 2" is a label; neither is meant as an answer."""
    if not hit["currency"] and re.search(r"[A-Za-z_]$", text[max(0, start - 1) : start]):
        return LABELS
    return LABELS if _STEP.search(text[max(0, start - 16) : start].rstrip()) else DIGITS


def _in_digits(text: str) -> Iterator[Number]:
    for hit in _NUMBER.finditer(text):
        if hit.end() - hit.start() > MAX_DIGITS or (value := _value(hit)) is None:
            continue
        start, end = hit.span()
        before = text[max(0, start - 12) : start]
        sign = hit["sign"]
        if sign and re.search(r"[\d)\]}%]\s+$", before):
            sign, start = None, start + 1  # "20 -12": an operator
        negative = (sign or "+") in "-–" or bool(hit["inner"])
        negative = negative or bool(re.search(r"\b(?:minus|negative)\s$|负$", before, re.IGNORECASE))
        if negative and re.search(r"[\d)\]}%]\s+minus\s$", before, re.IGNORECASE):
            negative = False
        tier = _tier(text, hit, start)
        after = _AFTER.match(text, end)
        if after and after["short"] and not hit["currency"]:
            after = None  # "5k" may be a race, "5m" a length
        if after:
            end = after.end()
            value *= SCALES.get((after["scale"] or "").lower(), Fraction(1))
            value *= _SHORT.get((after["short"] or "").lower(), 1)
            tier = max(tier, WORDS) if after["ordinal"] else tier
        yield Number(start, end, -value if negative else value, tier)


def _in_words(text: str) -> Iterator[Number]:
    for hit in ENGLISH.finditer(text):
        value = read_english(hit["words"])
        if value is not None:
            lone = hit["words"].lower() == "one"  # mostly a pronoun
            yield Number(*hit.span(), -value if hit["sign"] else value, LABELS if lone else WORDS)
    for hit in CHINESE.finditer(text):
        value = read_chinese(hit["mixed"] or hit["num"])
        if value is None:
            continue
        if hit["den"]:
            bottom = read_chinese(hit["den"])
            if not bottom:
                continue
            value = value / bottom
        if hit["mixed"]:
            yield Number(*hit.span(), -value if text[: hit.start()].endswith("负") else value, DIGITS)
            continue
        lone = hit.group() in ("一", "两", "千", "万", "亿", "百")  # mostly part of another word
        yield Number(*hit.span(), -value if hit["sign"] else value, LABELS if lone else WORDS)


def _enumerators(text: str) -> frozenset[int]:
    """Positions of the numbers of a numbered list: line heads n and n + 1 both occur."""
    heads = [
        (hit.start(1), _integer(hit[1])) for hit in re.finditer(r"(?m)^[^\S\n]*(\d{1,2})[.)、]\s+\S", text)
    ]
    values = {value for _, value in heads}
    return frozenset(at for at, value in heads if {value - 1, value + 1} & values)


def find_numbers(text: str) -> list[Number]:
    """Every number in `text`, in order of its position, none inside another of a better tier."""
    text = narrow(text)
    listed = _enumerators(text)
    found = [
        Number(n.start, n.end, n.value, LISTED) if n.start in listed else n
        for n in (*_in_words(text), *_in_digits(text))
    ]
    found.sort(key=lambda n: (n.start, -n.end))
    kept: list[Number] = []
    for number in found:
        if not kept or number.start >= kept[-1].end:
            kept.append(number)
    return kept


_OPERATOR = re.compile(
    r"\s*(?:[-+*/×÷·x^=–]|\\times|\\div|\\cdot|of|times|plus|minus|divided\s+by)\s*\(?", re.IGNORECASE
)
_UNIT = re.compile(r"\s*\)?(?:\s*(?!of\b|times\b|plus\b|minus\b|divided\b|x\b)[A-Za-z]{1,15}){0,2}\s*")


def resolve_equation(numbers: list[Number], index: int, text: str) -> int:
    """Index of the number an equation beginning at `numbers[index]` comes to.

    In "20 - 12 = 8 apples" that is the 8; a number in no equation is its own result.
    """
    text = narrow(text)
    result, at = index, index
    while at + 1 < len(numbers):
        between = text[numbers[at].end : numbers[at + 1].start]
        unit = _UNIT.match(between)
        operator = _OPERATOR.fullmatch(between, unit.end() if unit else 0) or _OPERATOR.fullmatch(between)
        if operator is None:
            break
        at += 1
        if "=" in operator.group():
            result = at
    return result


def number_candidates(text: str) -> list[Candidate]:
    """The numbers of `text` in canonical form."""
    numbers = find_numbers(text)
    named = [(n, canonical(n.value)) for n in numbers]
    return [Candidate(n.start, n.end, name, n.tier) for n, name in named if name is not None]


def as_number(text: str) -> Fraction | None:
    """The value of a text that holds one number (with its unit or currency); None otherwise."""
    numbers = find_numbers(text)
    strong = [n for n in numbers if n.tier == DIGITS] or numbers
    return strong[0].value if len(strong) == 1 else None
