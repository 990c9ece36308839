"""When an answer counts as the gold answer."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from icl.prompts.answers.formats.brackets import PAIRS, closing
from icl.prompts.answers.numbers.find import as_number
from icl.prompts.answers.patterns import lazy
from icl.types import Example, ReadingRules, Task

_MARKS = lazy(r"[\"'“”‘’«»「」『』《》〈〉`]")
_EMPHASIS = lazy(r"\*{1,3}(?=\S)([^*\n]*[^*\s])\*{1,3}(?![\w*])")
_LISTING = lazy(r"[,;，；、]")
_CLOSING = " .!?。！？:："
_DASHES = {0x2212: "-", 0x2010: "-", 0x2011: "-", 0xFE63: "-"}

ROUNDING = Fraction(1, 10**6)
"""What is forgiven to numbers whose decimals were rounded, where the task states no tolerance of its own."""
_LONG = 6
"""Decimals from which on a number may be a rounded one."""


def equivalent(answer: str | None, gold: str, task: Task) -> bool:
    """Whether `answer` says the same as `gold` in a task of this kind.

    Numbers by value (72 = 72.0 = "$72", 1/2 = 0.5); where one side has six decimals and more, or decimals
    that do not end, a millionth is forgiven (2/3 = 0.666667), whole numbers never; a task's own
    `reading.tolerance` takes the place of this. Labels and letters without regard to case, strings without
    regard to case, width, quotes and commas; a gold answer of one word also without regard to spaces, dots
    and hyphens between its letters ("y z l e" for "yzle"). Strings that are numbers are compared as such:
    1,000 = 1000, but 3.5 is not 35. None is never right.
    """
    if answer is None:
        return False
    if task.kind == "numeric":
        return _same_number(answer, gold, task)
    if task.kind == "string":
        return _same_text(answer, gold)
    return answer.strip().casefold() == gold.strip().casefold()


def is_right(answer: str | None, example: Example, task: Task) -> bool:
    """Whether `answer` says the same as any of the answers that the example accepts."""
    return any(equivalent(answer, gold, task) for gold in example.golds)


def _same_number(answer: str, gold: str, task: Task) -> bool:
    left, right = _number(answer, task.language), _number(gold, task.language)
    if left is None or right is None:
        return normalise_text(answer) == normalise_text(gold)
    return left == right or _within(left, right, task.reading)


def _within(left: Fraction, right: Fraction, rules: ReadingRules) -> bool:
    """Whether two numbers are as good as equal."""
    apart = abs(left - right)
    if rules.tolerance is not None:
        allowed = Fraction(str(rules.tolerance))
        return bool(apart <= (allowed * abs(right) if rules.relative else allowed))
    if not (_rounded(left) or _rounded(right)):
        return False
    return bool(apart <= ROUNDING * min(Fraction(1), max(abs(left), abs(right))))


def _rounded(value: Fraction) -> bool:
    """Whether its decimals go on for so long that they may have been rounded."""
    return bool((value * 10 ** (_LONG - 1)).denominator != 1)


_CANONICAL = lazy(r"-?\d{1,300}(?:\.\d{1,300})?", re.ASCII)


def _number(text: str, language: str) -> Fraction | None:
    """The value of a canonical number, or of one as people write it."""
    plain = text.strip()
    return Fraction(plain) if _CANONICAL.fullmatch(plain) else as_number(text, language)


def normalise_text(text: str) -> str:
    """Case, width, quotes, emphasis, commas, white space and closing punctuation taken out."""
    text = unicodedata.normalize("NFKC", text).translate(_DASHES).casefold()
    text = _LISTING.sub(" ", _MARKS.sub("", _EMPHASIS.sub(r"\1", text)))
    return " ".join(text.split()).strip(_CLOSING)


_FIGURE = lazy(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", re.ASCII)


def _same_text(answer: str, gold: str) -> bool:
    left, right = _figure(answer), _figure(gold)
    if left is not None and right is not None:
        return left == right
    said, true = normalise_text(answer), normalise_text(gold)
    if said == true or _unwrapped(said) == true:
        return True
    if " " in true:
        return False
    # Between letters only: "3.5" is not "35", and "-x" not "x"
    return _squeezed(said) == _squeezed(true) != ""


def _squeezed(text: str) -> str:
    return re.sub(r"(?<=[^\W\d_])[\s.\-]+(?=[^\W\d_]|$)", "", text)


def _unwrapped(text: str) -> str:
    """Without one pair of brackets around all of it."""
    if text[:1] in PAIRS and closing(text, 0) == len(text) - 1:
        return text[1:-1].strip()
    return text


def _figure(text: str) -> tuple[str, Fraction] | None:
    """(leading zeros, value) of a text that is nothing but a number; "007" is not "7"."""
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES).strip().rstrip(".")
    if len(plain) > 300 or not _FIGURE.fullmatch(plain):
        return None
    digits = plain.lstrip("-").split(".")[0]
    zeros = len(digits) - len(digits.lstrip("0")) if len(digits) > 1 else 0
    return "0" * zeros, Fraction(plain.replace(",", ""))
