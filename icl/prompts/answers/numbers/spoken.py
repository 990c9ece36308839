"""Whole numbers in the words of German, French, Spanish and Russian."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import EDGE, Span


def _count(words: str, first: int = 0, step: int = 1) -> dict[str, int]:
    """Words for first, first + step, ...; "/" between those for the same number."""
    numbered = enumerate(words.split())
    return {word: first + step * at for at, same in numbered for word in same.split("/")}


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a language says its numbers."""

    units: Mapping[str, int]
    """Words that are added: below 100, and hundreds of one word."""
    hundred: tuple[str, ...]
    scales: Mapping[str, int]
    weak: frozenset[str]
    """Words for one, which are mostly articles."""
    minus: str
    joint: str = ""
    """Between tens and ones: "et", "y"."""
    compound: bool = False
    """Written in one word, the ones before the tens ("siebenundsechzig")."""
    scored: bool = False
    """Counts on from 60 and 80 ("soixante-dix-sept")."""


_DE = _count(
    "null ein/eins/eine zwei/zwo drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn"
)
_DE |= _count("fünfzehn sechzehn siebzehn achtzehn neunzehn", 15)
_DE |= _count("zwanzig dreißig/dreissig vierzig fünfzig sechzig siebzig achtzig neunzig", 20, 10)
_FR = _count(
    "zéro un/une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
)
_FR |= _count(
    "vingt trente quarante cinquante soixante septante quatre-vingts/quatre-vingt/huitante nonante", 20, 10
)
_ES = _count(
    "cero un/uno/una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince"
)
_ES |= _count(
    "dieciséis/dieciseis diecisiete dieciocho diecinueve veinte veintiuno/veintiún veintidós/veintidos", 16
)
_ES |= _count(
    "veintitrés/veintitres veinticuatro veinticinco veintiséis/veintiseis veintisiete veintiocho", 23
)
_ES |= _count("veintinueve treinta", 29) | _count(
    "cuarenta cincuenta sesenta setenta ochenta noventa", 40, 10
)
_ES |= _count(
    "cien/ciento doscientos/doscientas trescientos/trescientas cuatrocientos/cuatrocientas", 100, 100
)
_ES |= _count(
    "quinientos/quinientas seiscientos/seiscientas setecientos/setecientas ochocientos/ochocientas", 500, 100
)
_ES |= _count("novecientos/novecientas", 900)
_RU = _count("ноль/нуль один/одна/одно два/две три четыре пять шесть семь восемь девять десять одиннадцать")
_RU |= _count(
    "двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать", 12
)
_RU |= _count("двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто", 20, 10)
_RU |= _count("сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот", 100, 100)

SPOKEN: dict[str, Spoken] = {
    "de": Spoken(
        _DE,
        ("hundert", "einhundert"),
        {"tausend": 10**3, "million": 10**6, "millionen": 10**6, "milliarde": 10**9, "milliarden": 10**9},
        frozenset(("ein", "eins", "eine")),
        "minus",
        compound=True,
    ),
    "fr": Spoken(
        _FR,
        ("cents", "cent"),
        {"mille": 10**3, "million": 10**6, "millions": 10**6, "milliard": 10**9, "milliards": 10**9},
        frozenset(("un", "une")),
        "moins",
        "et",
        scored=True,
    ),
    "es": Spoken(
        _ES,
        (),
        {"mil": 10**3, "millón": 10**6, "millones": 10**6},
        frozenset(("un", "uno", "una")),
        "menos",
        "y",
    ),
    "ru": Spoken(
        _RU,
        (),
        _count("тысяча/тысячи/тысяч", 10**3) | _count("миллион/миллиона/миллионов", 10**6),
        frozenset(("один", "одна", "одно")),
        "минус",
    ),
}
MOST = 24
"""Words of one number."""
_PERCENT = lazy(r"\b(?:pour|por)\s$", re.IGNORECASE)
"""Before "cent" and "ciento", which are then no hundred."""


def numbers_spoken(text: str, language: str) -> Iterator[tuple[Span, int, bool]]:
    """Span, value and whether it is only a weak one ("ein", mostly an article) of each number in words."""
    own = SPOKEN.get(language)
    if own is None:
        return
    for run in _pattern(language).finditer(text):
        if _PERCENT.search(text, max(0, run.start() - 6), run.start()):
            continue
        for start, end, value in _split(run, own, _word(language)):
            sign = re.search(rf"(?<!{EDGE}){own.minus}\s$", text[:start][-12:], re.IGNORECASE)
            yield (start, end), -value if sign else value, text[start:end].lower() in own.weak


@lru_cache(maxsize=8)
def _word(language: str) -> re.Pattern[str]:
    own = SPOKEN[language]
    words = sorted([*own.units, *own.hundred, *own.scales], key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE)


@lru_cache(maxsize=8)
def _pattern(language: str) -> re.Pattern[str]:
    """A run of number words; what numbers it holds is another matter."""
    own, word = SPOKEN[language], _word(language).pattern
    between = r"[-\s]|und|" if own.compound else rf"[-\s](?:{own.joint}[-\s])?" if own.joint else r"\s"
    return re.compile(
        rf"(?<!{EDGE})(?:{word})(?:(?:{between})(?:{word}))*(?!{EDGE})", re.IGNORECASE | re.UNICODE
    )


def _split(run: re.Match[str], own: Spoken, word: re.Pattern[str]) -> Iterator[tuple[int, int, int]]:
    """The numbers of a run: as many words as make up one, then the next."""
    text, words = run.string, list(word.finditer(run.string, *run.span()))
    at = 0
    while at < len(words):
        end, value = at + 1, _value([words[at]], text, own)
        for stop in range(at + 2, min(at + MOST, len(words)) + 1):
            longer = _value(words[at:stop], text, own)
            if longer is not None:
                end, value = stop, longer
        if value is not None:
            yield words[at].start(), words[end - 1].end(), value
        at = end


def _value(words: Sequence[re.Match[str]], text: str, own: Spoken) -> int | None:
    """Their value as one number; None where they are no one number."""
    total, group, scale = 0, 0, 10**12
    last = words[0].start()
    for word in words:
        said, between = word.group().lower(), text[last : word.start()].strip(" \t\n-").lower()
        last = word.end()
        if said in own.scales:
            if own.scales[said] >= scale or between:
                return None
            scale = own.scales[said]
            total, group = total + (group or 1) * scale, 0
        elif said in own.hundred:
            if group > 19 or group == 10 or between:  # "neunzehnhundert", "onze cents"
                return None
            group = (group or 1) * 100
        elif not _fits(group, own.units[said], between, own) or (own.units[said] == 0 and len(words) > 1):
            return None
        else:
            group += own.units[said]
    return total + group


def _fits(group: int, value: int, between: str, own: Spoken) -> bool:
    """Whether `value` may be added behind `group`: "cent" + "vingt" + "cinq", and not "cinq" + "vingt"."""
    rest = group % 100
    if value >= 100:
        return group == 0
    if own.compound and between:
        return 0 < rest < 10 and value >= 20
    if own.scored and rest in (60, 80) and 0 < value < 20:
        return not between or (rest == 60 and value in (1, 11))
    if between and not (rest >= 20 and value < 10):
        return False
    if own.scored and rest == 10:
        return 7 <= value <= 9  # "dix-sept"
    tens = rest >= 20 and rest % 10 == 0
    return rest == 0 or (tens and value < 10 and not own.compound)
