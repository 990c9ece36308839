"""Numbers written in digits: separators of several locales, fractions, powers, LaTeX."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from icl.prompts.answers.patterns import lazy

MAX_DIGITS = 300
"""A longer run of digits is no answer, and Python refuses to convert very long ones."""

_POINT_INT = r"\d{1,3}(?:(?:,|\{,\}|\\,|_|['’])\d{3})+(?!\d)|\d{1,3}(?:,\d{2})+,\d{3}(?!\d)|\d+"
_COMMA_INT = r"\d{1,3}(?:(?:[._'’ ]|\\,|\{\.\})\d{3})+(?!\d)|\d+"
_POINT_DECIMALS, _COMMA_DECIMALS = r"\.\d+", r"(?:,|\{,\})\d+|\.(?:\d{1,2}|\d{4,})(?!\d)"
VULGAR = "".join(chr(c) for c in [*range(0xBC, 0xBF), *range(0x2150, 0x215F)])
_CURRENCY = r"(?:\\?\$|[€£¥￥₹]|US\$|Rs\.?\s?)"
_SIGN = r"(?P<sign>(?<![\w)\]}%.])[-+–](?=\\?[$€£¥￥₹.\d\\]|US\$|Rs))"


def _argument(braced: str, bare: str, whole: str) -> str:
    """An argument of \\frac: in braces, or one digit without."""
    return rf"(?:\s?\{{\s?(?P<{braced}>-?(?:{whole}))\s?\}}|\s?(?P<{bare}>\d))"


def _exponent(name: str) -> str:
    return rf"\s?(?:\^|\*\*)\s?[{{(]?\s?(?P<{name}>[-+]?\d{{1,12}})\s?[)}}]?"


@lru_cache(maxsize=2)
def figures(comma: bool) -> re.Pattern[str]:
    """A number in digits. comma: written as in 1.234,5, else as in 1,234.5."""
    whole = _COMMA_INT if comma else _POINT_INT
    decimals = _COMMA_DECIMALS if comma else _POINT_DECIMALS
    upper, lower = _argument("ltop", "stop", whole), _argument("lbottom", "sbottom", whole)
    return re.compile(
        rf"{_SIGN}?(?:(?P<currency>{_CURRENCY})\s?(?P<inner>-(?=[\d.]))?)?"
        rf"(?:"
        rf"(?P<lwhole>\d{{1,9}})?\s?\\[dt]?frac{upper}{lower}"
        rf"|(?P<mixed>\d{{1,9}})(?:\s+|\s+and\s+)(?P<mtop>\d{{1,4}})\s?[/⁄]\s?(?P<mbottom>\d{{1,4}})(?![\d/⁄]|[.,]\d)"
        rf"|(?P<vwhole>\d{{1,9}})?\s?(?P<vulgar>[{VULGAR}])"
        rf"|(?P<top>{whole})(?:\s?[/⁄]\s?)(?P<bottom>{whole})(?![\d/⁄]|[.,]\d)"
        rf"|(?:(?P<int>{whole})(?P<decimals>{decimals})?|(?<![\d.])(?P<bare>\.\d+))"
        rf"(?:(?:[eE](?P<exp>[-+]?\d{{1,12}})(?!\w|\.\d))"
        rf"|(?:\s?(?:[x×*·]|\\times|\\cdot)\s?10(?:{_exponent('sci')}|(?P<super>[⁻⁰¹²³⁴-⁹]+)))"
        rf"|{_exponent('power')}(?!\d)|(?P<raised>[⁻⁰¹²³⁴-⁹]+))?"
        rf")"
    )


_RUN = lazy(r"\d+(?:(?:[.,:/]|\s?:\s?)\d+)*")
_GOES_ON = lazy(r"[.,:/]\d")
_CLOCK = lazy(r"\d{1,2}:\d{2}(?::\d{2})?(?!\d)|\d{1,4}[/]\d{1,2}[/]\d{1,4}|\d{4}-\d{2}-\d{2}")


def broken_run(text: str, hit: re.Match[str]) -> tuple[int, int, bool] | None:
    """(start, end, whether it is a time or date) of a run of digits that is no one number: "3,5", "10:30",
    "1.234,50" in English, "5/6/2020"; None where `hit` is a number."""
    start = hit.start("int") if hit["int"] else hit.start()
    clock = _CLOCK.match(text, start) if hit["int"] or hit["top"] else None
    if clock and not hit["currency"]:
        return start, clock.end(), True
    if not _GOES_ON.match(text, hit.end()):
        return None
    if text.startswith(":", hit.end()) and not re.match(r":\d+(?!\d)", text[hit.end() : hit.end() + 12]):
        return None
    run = _RUN.match(text, start)
    return None if run is None or run.end() <= hit.end() else (start, run.end(), False)


def _integer(digits: str) -> int:
    return int(re.sub(r"\D", "", digits))


_SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def value_of(hit: re.Match[str], comma: bool) -> Fraction | None:
    """The unsigned value of a match of `figures`; None where it has none, or one too long for an answer."""
    plain = hit["int"]
    if plain is not None and hit.end("int") == hit.end():
        return Fraction(int(plain) if plain.isdecimal() else _integer(plain))
    part = hit.groupdict()
    if part["ltop"] or part["stop"]:
        top, bottom = part["ltop"] or part["stop"], part["lbottom"] or part["sbottom"]
        value = _ratio(part["lwhole"] or "0", top, bottom)
        return None if value is None else -value if top.startswith("-") != bottom.startswith("-") else value
    if part["mtop"]:
        return _ratio(part["mixed"], part["mtop"], part["mbottom"])
    if part["vulgar"]:
        vulgar = Fraction(unicodedata.numeric(part["vulgar"])).limit_denominator(1000)
        return vulgar + _integer(part["vwhole"] or "0")
    if part["top"]:
        return _ratio("0", part["top"], part["bottom"])
    decimals = re.sub(r"\D", "", part["decimals"] or part["bare"] or "")
    value = Fraction(int(str(_integer(part["int"] or "0")) + decimals), 10 ** len(decimals))
    return _powered(value, part)


def _powered(value: Fraction, part: dict[str, str | None]) -> Fraction | None:
    tens = part["exp"] or part["sci"] or (part["super"] or "").translate(_SUPERSCRIPT)
    power = part["power"] or (part["raised"] or "").translate(_SUPERSCRIPT)
    try:
        exponent = int(tens or power or "0")
    except ValueError:  # superscripts such as "⁻" alone
        return value
    base = Fraction(10) if tens else value
    if power and (base in (0, 1) and exponent >= 0):
        return base if exponent else Fraction(1)
    size = max(len(str(base.numerator)), len(str(base.denominator))) if base not in (0, 1) else 1
    if abs(exponent) * size > 4 * MAX_DIGITS or (base == 0 and exponent < 0):
        return None
    return value * Fraction(10) ** exponent if tens else base**exponent if power else value


def _ratio(whole: str, top: str, bottom: str) -> Fraction | None:
    if _integer(bottom) == 0:
        return None
    return _integer(whole) + Fraction(_integer(top), _integer(bottom))
