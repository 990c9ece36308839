"""Numbers written in words: English up to the trillions, and Chinese numerals."""

from __future__ import annotations

import re
from fractions import Fraction

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_LARGE = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES = {word: Fraction(n) for word, n in _LARGE.items()}

_WORD = "|".join(sorted([*_SMALL, *_LARGE], key=len, reverse=True))
ENGLISH = re.compile(
    rf"(?<![\w-])(?:(?P<sign>minus|negative)\s+)?(?:an?\s+(?=hundred|thousand|million|billion))?"
    rf"(?P<words>(?:{_WORD})(?:(?:\s+and\s+|\s*-\s*|\s+)(?:{_WORD}))*)(?![\w])(?!-\w)",
    re.IGNORECASE,
)


def read_english(words: str) -> Fraction | None:
    """Value of words such as "two hundred and five"; None if they are no number ("two three")."""
    total, group, last = 0, 0, 10**18
    for word in re.findall(r"[a-z]+", words.lower()):
        if word == "and":
            continue
        if word in _SMALL:
            value = _SMALL[word]
            if value >= last or (0 < last < 10) or (10 <= last < 20) or (value == 0 and last < 10**18):
                return None
            if 20 <= last < 100 and value >= 10:
                return None
            group, last = group + value, value
        elif word == "hundred":
            if group >= 10 and last >= 100:
                return None
            group, last = max(group, 1) * 100, 100
        else:
            total, group, last = total + max(group, 1) * _LARGE[word], 0, _LARGE[word]
    return Fraction(total + group)


_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2, "壹": 1, "贰": 2}
_DIGITS |= {"叁": 3, "肆": 4, "伍": 5, "陆": 6, "柒": 7, "捌": 8, "玖": 9}
_UNITS = {"十": 10, "百": 100, "千": 1000, "拾": 10, "佰": 100, "仟": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_D, _U, _M = "".join(_DIGITS), "".join(_UNITS), "".join(_MYRIADS)
_ANY = _D + _U + _M
_ARABIC = r"\d{1,15}(?:\.\d{1,15})?"

_SCALE = rf"(?:[{_U}{_M}](?<!千)|千(?![克米瓦卡赫帕]))"  # "5千米" are five kilometres

CHINESE = re.compile(
    rf"(?P<percent>百分之)?(?P<sign>负)?(?:(?P<den>[{_ANY}]{{1,30}})分之)?"
    rf"(?P<num>[{_ANY}]{{1,30}}(?:点[{_D}]{{1,30}})?)"
    rf"|(?P<mixed>{_ARABIC}\s?{_SCALE}{{1,8}}(?:{_ARABIC}{_SCALE}{{1,8}}){{0,8}}(?:\d{{1,8}}(?![\d.]))?)"
)
"""Chinese numerals, and Arabic digits followed by Chinese units ("3万", "1.5亿", "12万5千")."""


def read_chinese(numeral: str) -> Fraction | None:
    """Value of a numeral such as "三万五千", "二〇二四", "三点五", "1.5亿"; None if it is none."""
    whole, point, decimals = numeral.partition("点")
    if point:
        value = read_chinese(whole)
        digits = [_DIGITS[c] for c in decimals]
        fraction = Fraction(int("".join(map(str, digits))), 10 ** len(digits))
        return None if value is None else value + fraction
    tokens = re.findall(rf"{_ARABIC}|[{_ANY}]", numeral)
    if len(tokens) > 1 and all(t in _DIGITS for t in tokens):
        return Fraction(int("".join(str(_DIGITS[t]) for t in tokens)))
    return _read_units(tokens)


def _read_units(tokens: list[str]) -> Fraction | None:
    total = section = Fraction(0)
    digit: Fraction | None = None
    unit = 0
    zero = False
    for token in tokens:
        if token in _UNITS:
            if digit is None and (unit or total) and _UNITS[token] != 10:
                return None
            section += (Fraction(1) if digit is None else digit) * _UNITS[token]
            digit, unit, zero = None, _UNITS[token], False
        elif token in _MYRIADS:
            section += digit or 0
            if section == 0 and total == 0:
                return None
            if _MYRIADS[token] > 10**4 and total:
                total = (total + section) * _MYRIADS[token]
            else:
                total += section * _MYRIADS[token]
            section, digit, unit, zero = Fraction(0), None, _MYRIADS[token], False
        elif token in ("零", "〇"):
            zero, digit = True, digit if digit is not None else (None if unit else Fraction(0))
        else:
            if digit is not None and digit != 0:
                return None
            digit = Fraction(_DIGITS[token]) if token in _DIGITS else Fraction(token)
    if digit is not None:
        # "两千三" is 2300: a last digit without a unit stands one below the unit before it. A zero
        # ("两千零三") or digits written in Arabic ("12万5000") say the value themselves.
        colloquial = unit >= 100 and not zero and tokens[-1] in _DIGITS
        section += digit * unit / 10 if colloquial else digit
    return total + section
