"""Numbers written in words: English up to the trillions, and Chinese numerals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from icl.prompts.answers.patterns import lazy

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_LARGE = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_BUNCH = {"dozen": 12}
SCALES = {word: Fraction(n) for word, n in (_LARGE | _BUNCH).items()}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7}
_PARTS |= {"eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000}


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_WORD = _either([*_SMALL, *_LARGE, *_BUNCH])
_SCALE = _either(SCALES)
_FIGURES = rf"\d{{1,15}}(?:,\d{{3}})*(?:\.\d{{1,15}})?(?=\s*-?\s*(?:{_SCALE})\b)"
_ATOM = rf"(?:{_FIGURES}|\d{{1,3}}(?=\s+(?:{_either(_LARGE)}))|(?:{_WORD})(?![a-z]))"
_COMMA = "|".join(rf"(?<={word}),\s+" for word in _LARGE)
PART = rf"(?:(?:an?|one)[\s-]+(?:{_either(_PARTS)})|(?:{_either(_ONES[2:])})[\s-]+(?:{_either(_PARTS)})s)\b"
_OTHER_NUMBER = rf"\d{{1,15}}(?!\d|,\d|\.\d|\s*-?\s*(?:{_SCALE})\b)"
_MORE = rf"(?:(?:{_COMMA}|\s+)and\s+|\s*-\s*|{_COMMA}|\s+)(?!{PART})(?!{_OTHER_NUMBER}){_ATOM}"
_POINT = rf"\s+point(?:[\s-]+(?:oh|{_either(_SMALL)})\b)+"
ENGLISH = lazy(
    rf"(?<![\w-])(?<!\d[.,])(?:(?P<sign>minus|negative)\s+)?(?:"
    rf"(?P<lead>half\s+an?\s+|half\s+(?={_either(_LARGE)})|(?:an?|one|three)\s+quarters?\s+of\s+an?\s+)(?P<unit>{_SCALE})"
    rf"|(?P<part>{PART}|(?:an?\s+)?half)"
    rf"|(?P<words>(?:an?\s+(?=(?:{_SCALE})\b))?{_ATOM}(?:{_MORE})*)(?P<point>{_POINT})?"
    rf"|zero(?P<zero>{_POINT})|(?P<bare>point(?:[\s-]+(?:oh|{_either(_SMALL)})\b)+)"
    rf")(?P<mixed>\s+and\s+{PART})?(?:\s+(?P<scale>{_SCALE})\b)?(?![\w])(?!-\w)",
    re.IGNORECASE,
)
"""Numbers in English words, with figures before a scale ("3 hundred and forty-one"), decimals ("two point
five"), parts ("two and a half", "three quarters") and dozens."""


_NUMBER_WORDS = frozenset(
    [*_SMALL, *_LARGE, *_BUNCH, "half", "halves", "third", "thirds", "quarter", "quarters", "point"]
)
_LETTERS = lazy(r"[A-Za-zſK]+")


def number_words(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the words of which a number in words has at least one."""
    if "ſ" not in text and _NUMBER_WORDS.isdisjoint(_LETTERS.findall(text.lower())):
        return
    for word in _LETTERS.finditer(text):
        spelt = word.group().casefold()
        if spelt in _NUMBER_WORDS and (spelt != "point" or text[word.end() : word.end() + 1].isspace()):
            yield word.start(), word.end() + (spelt == "point")


def read_match(hit: re.Match[str]) -> Fraction | None:
    """The value of a match of `ENGLISH`, without its sign; None where its words make up no number."""
    value: Fraction | None
    if hit["lead"]:
        value = part_value(hit["lead"]) * SCALES[hit["unit"].casefold()]
    elif hit["part"]:
        value = part_value(hit["part"])
    else:
        value = read_english(hit["words"]) if hit["words"] else Fraction(0)
    decimals = hit["point"] or hit["zero"] or hit["bare"]
    if value is not None and decimals:
        spoken = re.findall(r"[a-z]+", decimals.casefold())[1:]
        digits = "".join(str(_SMALL.get(w, 0)) for w in spoken)
        if any(w in _TENS for w in spoken):  # "point twenty-five"
            whole = read_english(" ".join(spoken))
            digits = str(whole) if whole is not None else digits
        value += Fraction(int(digits), 10 ** len(digits))
    if value is not None and hit["mixed"]:
        value += part_value(hit["mixed"])
    return value * SCALES[hit["scale"].casefold()] if value is not None and hit["scale"] else value


def part_value(words: str) -> Fraction:
    """ "three quarters", "a half", "one third of a": a fraction below one in words."""
    found = re.findall(r"[a-z]+", words.casefold())
    bottom = next(_PARTS[w.removesuffix("s")] for w in found if w.removesuffix("s") in _PARTS)
    return Fraction(next((_SMALL[w] for w in found if w in _SMALL), 1), bottom)


def read_english(words: str) -> Fraction | None:
    """Value of words such as "two hundred and five" or "3 hundred and one"; None if they are no number."""
    total, group, last = Fraction(0), Fraction(0), 10**18
    joined = False
    for word in re.findall(r"[a-z]+|\d[\d,]*(?:\.\d+)?", words.casefold()):
        if word in ("and", "a", "an"):
            joined = word == "and"
            continue
        if joined and last < 100:  # "two and three" are two numbers
            return None
        joined = False
        if word[0].isdigit():
            if last < 10**18 and last < 1000:
                return None
            group, last = group + Fraction(word.replace(",", "")), 9
        elif word in _SMALL:
            value = _SMALL[word]
            if value >= last or (0 < last < 10) or (10 <= last < 20) or (value == 0 and last < 10**18):
                return None
            if 20 <= last < 100 and value >= 10:
                return None
            group, last = group + value, value
        elif word == "hundred":
            if group >= 100 or (group >= 10 and last >= 100):
                return None
            group, last = (group or Fraction(1)) * 100, 100
        else:
            size = _LARGE.get(word) or _BUNCH[word]
            total, group, last = total + (group or Fraction(1)) * size, Fraction(0), size
    return total + group


_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2, "壹": 1, "贰": 2}
_DIGITS |= {"叁": 3, "肆": 4, "伍": 5, "陆": 6, "柒": 7, "捌": 8, "玖": 9}
_UNITS = {"十": 10, "百": 100, "千": 1000, "拾": 10, "佰": 100, "仟": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_D, _U, _M = "".join(_DIGITS), "".join(_UNITS), "".join(_MYRIADS)
_ANY = _D + _U + _M
_ARABIC = r"\d{1,15}(?:\.\d{1,15})?"

_UNIT = rf"(?:[{_U}{_M}](?<!千)|千(?![克米瓦卡赫帕]))"  # "5千米" are five kilometres

CHINESE = lazy(
    rf"(?P<percent>百分之)?(?P<sign>负)?(?:(?P<den>[{_ANY}]{{1,30}})分之)?"
    rf"(?P<num>[{_ANY}]{{1,30}}(?:点[{_D}]{{1,30}})?)"
    rf"|(?P<mixed>{_ARABIC}\s?{_UNIT}{{1,8}}(?:{_ARABIC}{_UNIT}{{1,8}}){{0,8}}(?:\d{{1,8}}(?![\d.]))?)"
)
"""Chinese numerals, and Arabic digits followed by Chinese units ("3万", "1.5亿", "12万5千")."""


def read_chinese(numeral: str, *, short: bool = True) -> Fraction | None:
    """Value of a numeral such as "三万五千", "二〇二四", "三点五", "1.5亿"; None if it is none.

    short: a last digit stands one below the unit before it ("百一" is 110), and hundreds name their digit.
    In Japanese they do not: "百一" is 101, "千百" 1100.
    """
    whole, point, decimals = numeral.partition("点")
    if point:
        value = read_chinese(whole, short=short)
        digits = [_DIGITS[c] for c in decimals]
        fraction = Fraction(int("".join(map(str, digits))), 10 ** len(digits))
        return None if value is None else value + fraction
    tokens = re.findall(rf"{_ARABIC}|[{_ANY}]", numeral)
    if len(tokens) > 1 and all(t in _DIGITS for t in tokens):
        return Fraction(int("".join(str(_DIGITS[t]) for t in tokens)))
    return _read_units(tokens, short)


def _read_units(tokens: list[str], short: bool) -> Fraction | None:
    total = section = Fraction(0)
    digit: Fraction | None = None
    unit = 0
    zero = False
    for token in tokens:
        if token in _UNITS:
            if short and digit is None and (unit or total) and _UNITS[token] != 10:
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
        colloquial = short and unit >= 100 and not zero and tokens[-1] in _DIGITS
        section += digit * unit / 10 if colloquial else digit
    return total + section
