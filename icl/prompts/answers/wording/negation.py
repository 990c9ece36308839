"""What is denied: "not A", "rules out B and C", "D is wrong", "non-toxic"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import Candidate
from icl.prompts.answers.wording.languages import negations

REACH = 70
"""Characters before a candidate in which its denial may begin."""
_FILLER = (
    r"(?:\s+(?:be|been|being|is|are|it|that|this|the|an?|any|option|options|choice|choices|answer|answers|letter|both|either|really|"
    r"simply|just|quite|very|at\s+all|choose|pick|select|say|of|also|even)\b|\s*[(\[\"'*“‘]+)*\s*$"
)
_NOT = (
    r"\b(?:not(?!\s+(?:only|just|merely))|never|neither|nor|non|hardly)|n['’]t\b"
    r"|\b(?:cannot|cant|rather\s+than|instead\s+of|other\s+than|anything\s+but|as\s+opposed\s+to|unlike|without)"
)
_OUT = (
    r"\b(?:exclud(?:e|es|ed|ing)|eliminat(?:e|es|ed|ing)|rul(?:e|es|ed|ing)\s+out|reject(?:s|ed|ing)?|discard(?:s|ed|ing)?|"
    r"dismiss(?:es|ed|ing)?|cross(?:es|ed|ing)?\s+(?:out|off)|except(?:\s+for)?|leaves?\s+out|drop(?:s|ped|ping)?)"
)
_AFTER = lazy(
    r"[)\]\"'”’*]*\s*(?:is|are|was|were|can|could|would|does|do|did|will|must|has|seems?)\s+(?:\w+ly\s+|also\s+|both\s+|all\s+)?not\b"
    r"(?!\s+(?:only|just|wrong|incorrect|false))"
    r"|[)\]\"'”’*]*\s*(?:,?\s*(?:both|all|also|clearly|simply|therefore|thus)\s+)?"
    r"(?:(?:is|are|was|were|can|could|would|does|do|did|will|must|has|seems?|looks?)\s+)?(?:(?:both|all|also|clearly|simply|just|"
    r"therefore|too|obviously|definitely)\s+)?"
    r"(?:(?:is|are|was|were|ca|could|would|does|do|did|wo)n['’]t\b|cannot\b|wrong\b|"
    r"incorrect\b|false\b|ruled\s+out|eliminated|excluded|rejected|discarded|out\b(?!\s+of)|impossible\b|unlikely\b|irrelevant\b|"
    r"invalid\b|implausible\b)",
    re.IGNORECASE,
)
_LIST = lazy(
    r"[)\]\"'”’*.]*\s*(?:,\s*(?:and|or|nor)?|and|or|nor|/|&)\s*(?:the\s+)?(?:option|choice)?\s*[(\[\"'“*]*",
    re.IGNORECASE,
)
_BREAK = lazy(
    r"[.!?;:](?=\s)|\n|\bbut\b|[。！？；，]|,\s*(?:so|leaving|it|the|this|that|which|therefore|but|rather|instead|we)\b"
)
PREFIX = r"(?:non|not|no|un|in|im|ir|il|dis)"
"""What turns a word into its opposite, with a hyphen, a space or nothing behind it."""
_COMPOUND = lazy(r"(?:[A-Za-z]-|\b(?:non|anti|un|quasi|pseudo|semi|half)\s)$", re.IGNORECASE)


@lru_cache(maxsize=32)
def _before(language: str, no: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    own = negations(language)
    simple = "|".join(p for p in (_NOT, r"不是|并非|不选|非", own, r"\bno" if no else "") if p)
    return re.compile(f"(?:{simple}){_FILLER}", re.IGNORECASE), re.compile(_OUT + _FILLER, re.IGNORECASE)


def denied(
    text: str, candidates: Sequence[Candidate], language: str, *, no: bool = False, after: bool = False
) -> frozenset[int]:
    """Positions in `candidates` of those that the text denies.

    no: "no" denies what follows too. after: look behind a candidate as well ("B is wrong"). In a list
    all share one denial ("rules out A, B and C", "A and B are wrong"), but "not A, B" denies A alone.
    """
    plain, out = _before(language, no)
    order = sorted(range(len(candidates)), key=lambda i: (candidates[i].start, -candidates[i].end))
    found: set[int] = set()
    strong: set[int] = set()  # eliminated: a comma goes on
    for at, i in enumerate(order):
        c = candidates[i]
        clause = text[max(0, c.start - REACH) : c.start]
        breaks = [hit.end() for hit in _BREAK.finditer(clause)]
        clause = clause[breaks[-1] :] if breaks else clause
        if out.search(clause):
            found.add(i)
            strong.add(i)
        elif plain.search(clause) or _ja_denies(text, c.end):
            found.add(i)
        elif at and order[at - 1] in found:
            last = candidates[order[at - 1]]
            link = text[last.end : c.start]
            if c.start < last.end or (_LIST.fullmatch(link) and (order[at - 1] in strong or "," not in link)):
                found.add(i)
                strong |= {i} & {i if order[at - 1] in strong else -1}
        if after and i not in found and _AFTER.match(text, c.end):
            found.add(i)
            for back in range(at - 1, -1, -1):  # "A and B are wrong"
                one, two = candidates[order[back]], candidates[order[back + 1]]
                if not _LIST.fullmatch(text[one.end : two.start]):
                    break
                found.add(order[back])
    return frozenset(found)


def _ja_denies(text: str, end: int) -> bool:
    return text.startswith(("ではなく", "ではない", "ではありません", "じゃない"), end)


def compound(text: str, start: int, end: int) -> bool:
    """Whether the word text[start:end] is part of another: "non-true", "half-right", "true-false"."""
    if _COMPOUND.search(text[max(0, start - 8) : start]):
        return True
    return text[end : end + 1] == "-" and text[end + 1 : end + 2].isalpha()
