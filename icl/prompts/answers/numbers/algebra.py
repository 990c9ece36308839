"""Equations and expressions with an unknown: "2y * y + 2x = 200" is no number, "2x = 24, so x = 12" is one.

A letter behind a number is mostly a unit (5m, 3h), before a word it counts times ("3x faster"). An unknown
is x, y, z, n or q there, any small letter that stands where a number could ("a + 5"), and one that the line
solves ("5m = 25, m = 5").
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice, takewhile

from icl.prompts.answers.numbers.find import Number
from icl.prompts.answers.patterns import lazy

_TOKEN = lazy(
    r"\s*(?:\d+(?:,\d{3})*(?:\.\d+)?|\\(?:times|cdot|div|[dt]?frac|left|right)(?![A-Za-z])|\\[()\[\]]"
    r"|(?<![A-Za-z])[A-Za-z](?:_?\d)?(?![A-Za-z'’])|[-+–*/^=×·÷(){}\[\]$])"
)
_OPENS, _CLOSES = "([{", ")]}"
_TIMES = lazy(r"(?<=[\d)\s])[xX](?=\s*[\d($])")
"""2 x 3: no unknown."""
_AFTER_NUMBER = lazy(r"\d\s?([A-Za-z])")
_OPERAND = lazy(
    r"(?:^|[-+–*^=×·÷(){\[]|\d\s?/(?=\s?[xyz]))[\s$]*([b-hj-zXYZ]|[ai](?!\s+[A-Za-z]{2}))(?![A-Za-z])"
)
_OPERATOR = lazy(r"[-+–*/^×·÷]|\\(?:[dt]?frac|times|cdot|div)|\d\s?[A-Za-z]|[A-Za-z]\s?\(")
_EXPLICIT = lazy(r"[-+–*/^×·÷]|\\(?:[dt]?frac|times|cdot|div)")
_NAME = lazy(r"[A-Za-z](?:_?\d)?(?:\s?\([^()]*\))?")
_TRIM = " \t\n$*\\"
_SURE = frozenset("xyznq")


def algebra(text: str, numbers: Sequence[Number], start: int) -> tuple[bool, Number | None]:
    """Whether what stands at `start` is an expression with an unknown, and the number that it comes to in the
    same line, if any: the last of "P = 2a + 2b = 30", or what its unknown is found to be."""
    end = _region(text, start)
    shown = _TIMES.sub("*", text[start:end])  # as long as before
    if not re.search(r"\d", shown) or not ("=" in shown or _EXPLICIT.search(shown.lstrip(" \t\n$*-+–"))):
        return False, None
    line = text.find("\n", end)
    rest = text[end : len(text) if line < 0 else line]
    unknown = _unknowns(shown, rest)
    sides = shown.split("=")
    while sides and not sides[-1].strip(_TRIM):
        sides.pop()
    hard = any(
        (_has(side, unknown) and _worked(side)) or (len(sides) != 2 and _mixed(side)) for side in sides
    )
    if not hard or (len(sides) == 1 and _lone(sides[0])):
        return False, None
    if _settled(sides, unknown):
        return True, _number_from(numbers, start + len("=".join(sides[:-1])) + 1, end)
    for hit in reversed(list(_solutions(unknown).finditer(text, end, end + len(rest)))):
        if (number := _number_from(numbers, hit.end(), hit.end() + 4)) is not None:
            return True, number
    return True, None


def _region(text: str, start: int) -> int:
    """Where the formula that begins at `start` ends: at a word, or at a bracket that it did not open."""
    at, depth = start, 0
    while hit := _TOKEN.match(text, at):
        last = hit.group()[-1]
        depth += (last in _OPENS) - (last in _CLOSES)
        if depth < 0:
            break
        at = hit.end()
    return at


def _unknowns(shown: str, rest: str) -> frozenset[str]:
    letters = {letter for letter in _AFTER_NUMBER.findall(shown) if letter.lower() in _SURE}
    operands = _OPERAND.finditer(shown + rest)  # what follows tells "15 - a bit" from "15 - a"
    letters |= {hit[1] for hit in operands if hit.start(1) < len(shown)}
    met = set(re.findall(r"[A-Za-z]", shown))
    return frozenset(letters | {hit[1] for hit in _solutions(met).finditer(rest)})


def _solutions(letters: set[str] | frozenset[str]) -> re.Pattern[str]:
    """ "x = " before a number."""
    either = "".join(sorted(letters)) or "\0"
    return re.compile(rf"(?<![\w^*/+.-])([{either}])\s*(?:=|≈|is|equals)[\s$]*(?=[-+\\]?[\d.\\])")


def _has(side: str, unknown: frozenset[str]) -> bool:
    return any(letter in unknown for letter in re.findall(r"(?<!\\)(?<![A-Za-z])[A-Za-z](?![A-Za-z])", side))


def _worked(side: str) -> bool:
    """Whether it is more than a name such as "x" or "f(3)"."""
    return not _NAME.fullmatch(side.strip(_TRIM)) and _OPERATOR.search(side) is not None


def _mixed(side: str) -> bool:
    """Whether it adds different letters, "4a + 3b"."""
    return re.search(r"[+–-]", side) is not None and len(set(_AFTER_NUMBER.findall(side))) > 1


def _lone(side: str) -> bool:
    """ "2x": twice something, or two of it."""
    return re.fullmatch(r"[-+–]?\d[\d,.]*\s?[A-Za-z]", side.strip(_TRIM)) is not None


def _settled(sides: Sequence[str], unknown: frozenset[str]) -> bool:
    """Whether a last side without an unknown is the value of all: its name stands first, or figures were put
    in for the unknown."""
    if len(sides) < 3 or _has(sides[-1], unknown):
        return False
    named = _NAME.fullmatch(sides[0].strip(_TRIM)) is not None
    return named or not _has(sides[-2], unknown)


def _number_from(numbers: Sequence[Number], start: int, end: int) -> Number | None:
    at = bisect_left(numbers, start, key=lambda n: n.start)  # in order of position
    inside = takewhile(lambda n: n.start <= end, islice(numbers, at, None))
    return next((n for n in inside if n.value is not None), None)
