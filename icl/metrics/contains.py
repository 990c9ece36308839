"""Whether the gold answer stands in what was said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from icl.metrics.shared.mean import mean_score
from icl.prompts.answers.equivalence import normalise_text
from icl.prompts.answers.numbers.find import canonical
from icl.prompts.answers.numbers.words import CHINESE, read_chinese
from icl.protocols import metrics
from icl.types import Task

_CJK = r"\u3400-\u9fff\uf900-\ufaff"
_NOTE = re.compile(r"^(?P<name>[^(（]+?)\s*[(（](?P<other>[^()（）]+)[)）]\s*$")
_YEAR = re.compile(r"(?<!\d)(\d{4})年(?![\d\s]*月)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BETWEEN = re.compile(rf"(?<=[{_CJK}])\s+|\s+(?=[{_CJK}])")


@metrics.register("contains", paper="none: containment of the gold, as is usual for open questions")
class Contains:
    """Share of answers in which the gold stands as a whole: words by words, numbers by numbers.

    "12" is not in "2012", "cat" not in "category". Case, width, quotes, white space and closing punctuation
    are of no account, nor a note in brackets behind the gold ("David Brewster (大卫·布儒斯特)": either will
    do). In Chinese numerals are figures (三百二十 = 320) and a year is one with or without 年. What is said
    beside the gold is not looked at, denials and other answers neither: it overstates, and a judge tells by
    how much.
    """

    def score(self, answer: str | None, gold: str, task: Task) -> float:
        """1.0 or 0.0; an unparsed answer is wrong, and so is a gold without a letter or figure."""
        if answer is None:
            return 0.0
        chinese = task.language.split("-")[0] == "zh"
        text = plain(answer, chinese)
        return float(any(_stands_in(plain(name, chinese), text) for name in _names(gold)))

    def aggregate(self, answers: Sequence[str | None], golds: Sequence[str], task: Task) -> float:
        """Mean score; ValueError without answers."""
        return mean_score(self.score, answers, golds, task)


def _names(gold: str) -> tuple[str, ...]:
    """The gold; where it ends in a note, also what stands before it and the note itself."""
    found = _NOTE.match(gold)
    return (gold,) if found is None else (gold, found["name"], found["other"])


@lru_cache(maxsize=8192)
def plain(text: str, chinese: bool) -> str:
    """A text for comparison: case, width, quotes and white space taken out, numerals as figures."""
    text = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text))
    text = normalise_text(text)
    if chinese:
        text = _YEAR.sub(r"\1", CHINESE.sub(_figures, _BETWEEN.sub("", text)))
    return text


def _figures(hit: re.Match[str]) -> str:
    """A Chinese numeral in figures; a fraction as it stands."""
    if hit["den"]:
        return hit.group()
    value = read_chinese(hit["num"] or hit["mixed"])
    written = None if value is None else canonical(value)
    if written is None:
        return hit.group()
    return f"{'-' if hit['sign'] else ''}{written}{'%' if hit['percent'] else ''}"


def _stands_in(gold: str, text: str) -> bool:
    if not any(c.isalnum() for c in gold):
        return False
    return (
        re.search(rf"{_edge(gold[0], before=True)}{re.escape(gold)}{_edge(gold[-1], before=False)}", text)
        is not None
    )


def _edge(end: str, *, before: bool) -> str:
    """What may not stand beside an end of the gold: more of its number, more of its word."""
    if end.isdigit():
        return r"(?<![\d.])" if before else r"(?!\d|\.\d)"
    if end.isalpha() and not re.match(rf"[{_CJK}]", end):
        return rf"(?<![^\W\d_{_CJK}])" if before else rf"(?![^\W\d_{_CJK}])"
    return ""
