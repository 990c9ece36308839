"""Numeric answers: which number a text comes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from icl.prompts.answers.numbers.find import DIGITS, Number, as_candidate, canonical, find_numbers
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import Candidate, narrow, sentence_end
from icl.prompts.answers.wording.results import told

_OPERATOR = lazy(
    r"\s*(?P<sign>[-+*/×÷·x=–≈]|\\times|\\div|\\cdot|of|times|plus|minus|divided\s+by|multiplied\s+by|added\s+to)\s*\(?",
    re.IGNORECASE,
)
_UNIT = lazy(
    r"\s*\)?(?:\s*(?!(?:of|times|plus|minus|divided|multiplied|added|x|which|that|this|equals?|is|are|or|and|gives?|makes?|so|comes)\b)"
    r"[A-Za-z]{1,15}\.?){0,3}\s*"
)
_RESULT = lazy(
    r"\s*[,;(]?\s*(?:[=≈→⇒]|(?:(?:which|that|this|it)\s+)?(?:(?:also\s+)?(?:is|are|equals?|gives?|makes?|yields?|leaves?|becomes?|totals?)"
    r"(?:\s+(?:us|equal\s+to|you|me|them|him|her|a\s+total\s+of))?|comes?\s+(?:out\s+)?to|amounts?\s+to|results?\s+in|works\s+out\s+(?:to|at|as)|"
    r"adds\s+up\s+to|evaluates\s+to|simplifies\s+to)|or|giving|making|yielding|leaving|i\.e\.,?|that\s+is,?|in\s+other\s+words,?|so|for\s+a\s+total\s+of|→)\s*"
    r"(?:just|exactly|about|approximately|only)?\s*:?\s*[(\[$€£*]*\s*",
    re.IGNORECASE,
)
_SAYS = lazy(
    r"(?:=|≈|\b(?:which|that|it|this|result|total|sum|difference|product|quotient|remainder|cost|price|profit|value)\s+(?:is|are|was|makes|gives|equals|leaves|comes\s+to)|"
    r"\b(?:equals?|comes?\s+to|amounts?\s+to|totals|for\s+a\s+total\s+of|a\s+total\s+of|leaving|in\s+all|adds\s+up\s+to|results?\s+in|"
    r"that\s+is,?|,\s+or))\s*(?:exactly|about|approximately|only)?\s*[$€£*\\]*\s*$",
    re.IGNORECASE,
)
_SIGNS = {"×": "*", "·": "*", "x": "*", "\\times": "*", "\\cdot": "*", "times": "*", "÷": "/", "\\div": "/"}
_SIGNS |= {"plus": "+", "minus": "-", "–": "-", "of": "of"}


def numeric_candidates(text: str, language: str = "en") -> tuple[list[Number], list[Candidate]]:
    """Every number in `text`, and the same as candidates; digits before words, names and list numbers
    last."""
    numbers = find_numbers(text, language)
    return numbers, [as_candidate(n) for n in numbers]


def result_of(text: str, numbers: Sequence[Number], chosen: Candidate) -> tuple[Candidate | None, bool]:
    """What a calculation that begins at `chosen` comes to, and whether that had to be worked out here.

    The 8 in "20 - 12 = 8" and in "20 - 12, which is 8"; 16 of a bare "2 x 8". None: a calculation that cannot
    be told from something else ("2-3" may be a range).
    """
    text = narrow(text)
    index = next((i for i, n in enumerate(numbers) if n.start == chosen.start), None)
    if index is None:
        return chosen, False
    result, at = index, index
    terms: list[Fraction | str] = [numbers[index].value or Fraction(0)]
    settled = True
    tight = False
    while at + 1 < len(numbers):
        between = text[numbers[at].end : numbers[at + 1].start]
        unit = _UNIT.match(between)
        operator = _OPERATOR.fullmatch(between, unit.end() if unit else 0) or _OPERATOR.fullmatch(between)
        link = (
            None
            if operator and operator["sign"] not in "=≈"
            else (_RESULT.fullmatch(between, unit.end() if unit else 0) or _RESULT.fullmatch(between))
        )
        if link and (at > index or "=" in between):
            at += 1
            result, settled = at, True
            terms = [numbers[at].value or Fraction(0)]
            continue
        if operator is None or operator["sign"] in "=≈":
            break
        at += 1
        settled = False
        sign = operator["sign"].lower()
        tight = tight or (sign in "-–" and not between[0:1].isspace())
        terms += [_SIGNS.get(sign, "?" if "(" in between else sign), numbers[at].value or Fraction(0)]
    if settled or at == index:
        return as_candidate(numbers[result]), False
    if result != index:  # "20 - 12 = 8, 8 * 3": the last result that was given
        return as_candidate(numbers[result]), False
    if "of" in terms:  # "3 boxes of 4"
        return chosen, False
    value = (
        None
        if tight or "-" in terms or any(numbers[i].value is None for i in range(index, at + 1))
        else evaluate(terms)
    )
    name = None if value is None else canonical(value)
    if name is None:
        return None, False
    return Candidate(numbers[index].start, numbers[at].end, name, DIGITS), True


def evaluate(terms: Sequence[Fraction | str]) -> Fraction | None:
    """The value of numbers and + - * / between them, products first; None for anything else."""
    if any(isinstance(t, str) and t not in "+-*/" for t in terms):
        return None
    total, sign = Fraction(0), 1
    product = terms[0] if isinstance(terms[0], Fraction) else Fraction(0)
    for sign_text, term in zip(terms[1::2], terms[2::2], strict=False):
        if not isinstance(term, Fraction):
            return None
        if sign_text == "*":
            product *= term
        elif sign_text == "/":
            if term == 0:
                return None
            product /= term
        else:
            total, product, sign = total + sign * product, term, 1 if sign_text == "+" else -1
    return total + sign * product


def concluded(text: str, candidates: Sequence[Candidate], last: Candidate, language: str) -> Candidate | None:
    """The number that a text without an announcement ends in; None where its last sentence holds several and
    none of them is said to be the result ("She pays $64 for the 16 glasses.")."""
    narrowed = narrow(text)
    begin = max((end for end in _sentence_ends(text, last.start)), default=0)
    inside = [c for c in candidates if c.start >= begin and c.tier == last.tier]
    if len({c.value for c in inside}) <= 1:
        return last
    said = [c for c in inside if _SAYS.search(narrowed, max(begin, c.start - 60), c.start)]
    if said and said[-1] is last:
        return last
    if said:
        return said[-1] if len({c.value for c in said}) == 1 else None
    return last if told(narrowed, last.start, last.end, language, begin) else None


def _sentence_ends(text: str, before: int) -> list[int]:
    ends, at = [], 0
    while at < before:
        end = sentence_end(text, at)
        if end >= before:
            break
        ends.append(end)
        at = end + 1
    return ends
