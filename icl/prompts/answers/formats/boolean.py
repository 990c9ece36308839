"""Boolean answers: yes, no, true, false and their like, mapped on the task's two labels."""

from __future__ import annotations

import re
from functools import lru_cache

from icl.prompts.answers.formats.label import rendered, squeeze
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import EDGE, Candidate, narrow, word_body, word_pattern
from icl.prompts.answers.wording.languages import unlisted
from icl.prompts.answers.wording.negation import compound, denied
from icl.types import Task, Template

OWN, SYNONYM, LOOSE = 0, 1, 2
"""Tiers: the task's own words; other words for them; words that are often something else."""

POSITIVE = (
    *("yes", "true", "correct", "right", "yeah", "yep"),
    *("是", "是的", "对", "对的", "正确", "真", "会", "能", "可以"),
)
NEGATIVE = (
    *("no", "false", "incorrect", "wrong", "nope", "not true", "not correct", "not right", "untrue"),
    *("isn't true", "isn't correct", "isn’t true", "isn’t correct"),
    *("否", "不", "不是", "不对", "错", "错误", "假", "不正确", "不会", "不能", "不可以", "没有"),
)
DOUBLE = (
    *("not false", "not incorrect", "not wrong", "not untrue"),
    *("isn't false", "isn't wrong", "isn't incorrect"),
)
_LOOSE = {"right", "correct", "wrong"}
_DETERMINER = lazy(
    r"[ \t]+(?!(?:because|since|as|it|they|he|she|the|there|this|that|these|those|i|we|you|if|but|and|so|for|"
    r"not|is|was|due|based|given|although|though|unless|however|actually|only|in|according|a|an)\b)"
    r"[a-z0-9\"“']|\s*\.\s*\d|-",
    re.IGNORECASE,
)
"""What follows "no" where it answers nothing: "no evidence", "no. 5", "no-one"."""
_ATTRIBUTE = lazy(
    r"\b(?:an?|the|this|that|its?|his|her|their|your|my|our|one|every|each|any|some|no|in|on|if|whether)\s+$",
    re.IGNORECASE,
)
_NOUN = lazy(
    r"\s+(?!(?:because|since|as|it|they|and|or|but|if|so|for|is|in|by|to|that|when)\b)[a-z]", re.IGNORECASE
)
_CONDITION = lazy(
    r"\b(?:if|whether|unless)\s+(?:(?:it|this|that|he|she)\s+(?:is|was|were)\s+)?$", re.IGNORECASE
)
_BOTH = lazy(
    r"\b(?:yes|no|true|false)\b[\"']?\s*(?:or|/)\s*[\"']?(?:yes|no|true|false)\b(?=[\"']?\s*(?:[?:)]|question|answer))|(?<!答案)是否|是不是|对不对|能不能|会不会",
    re.IGNORECASE,
)
"""Both at once is the question, not an answer: "yes or no?"."""


def polarity(task: Task) -> dict[bool, str]:
    """Which label means yes and which no, by their words; empty where they are neither."""
    yes, no = unlisted(task.language)
    for label in task.labels:
        words = {label.lower(), task.verbalise(label).strip().lower()}
        others = [other for other in task.labels if other != label]
        if len(others) == 1 and words & {*POSITIVE, *yes}:
            return {True: label, False: others[0]}
        if len(others) == 1 and words & {*NEGATIVE, *no}:
            return {True: others[0], False: label}
    return {}


Words = tuple[tuple[str, str, int], ...]


def _words(task: Task) -> Words:
    """(word, label, tier), the task's own before the language's."""
    return _known_words(task.labels, tuple(task.verbalisers.items()), task.template.answer, task.language)


@lru_cache(maxsize=128)
def _known_words(
    labels: tuple[str, ...], verbalisers: tuple[tuple[str, str], ...], answer: str, language: str
) -> Words:
    task = Task("", "boolean", Template("", answer), (), labels, dict(verbalisers), language=language)
    words: list[tuple[str, str, int]] = []
    for label in task.labels:
        own = (task.verbalise(label).strip(), label.strip(), rendered(task, label))
        words += [(word, label, OWN) for word in dict.fromkeys(own) if word]
    known = {word.lower() for word, _, _ in words}
    yes, no = unlisted(task.language)
    for positive, label in polarity(task).items():
        more = (*POSITIVE, *DOUBLE, *yes) if positive else (*NEGATIVE, *no)
        words += [
            (word, label, LOOSE if word in _LOOSE else SYNONYM)
            for word in dict.fromkeys(more)
            if word not in known
        ]
    return tuple(words)


@lru_cache(maxsize=128)
def _compiled(words: Words, ascii_only: bool) -> tuple[re.Pattern[str], dict[str, tuple[str, int]]]:
    """One pattern for all words, longest first, and what each stands for. ascii_only: the others cannot
    occur."""
    ordered = sorted(words, key=lambda w: (-len(w[0]), w[2]))
    ordered = [w for w in ordered if w[0].isascii() or not ascii_only]
    plain = [word for word, _, _ in ordered if word.isascii() and word[:1].isalnum() and word[-1:].isalnum()]
    rest = [word for word, _, _ in ordered if word not in plain]
    bodies = [_pattern(word) for word in rest]
    if plain:
        bodies.append(rf"(?<!{EDGE})(?:{'|'.join(word_body(word) for word in plain)})(?!{EDGE})")
    known: dict[str, tuple[str, int]] = {}
    for word, label, tier in ordered:
        known.setdefault(squeeze(word), (label, tier))
    return re.compile("|".join(bodies) or "(?!)", re.IGNORECASE), known


def boolean_candidates(text: str, task: Task) -> list[Candidate]:
    """Words for either label in `text`, a longer one ("not true") hiding those inside it."""
    text = narrow(text)
    masked = [hit.span() for hit in _BOTH.finditer(text)]
    pattern, known = _compiled(_words(task), text.isascii())
    found: list[Candidate] = []
    for hit in pattern.finditer(text):
        start, end = hit.span()
        said = known.get(squeeze(hit.group())) or known.get(squeeze(hit.group().removesuffix("的")))
        if said is None or any(a <= start < b for a, b in masked):
            continue
        if not _is_other(text, start, end, hit.group().lower()):
            found.append(Candidate(start, end, *said))
    plain = [c for c in found if " " not in text[c.start : c.end]]
    refused = {plain[at] for at in denied(text, plain, task.language)}
    return [c for c in found if c not in refused]


def _is_other(text: str, start: int, end: int, word: str) -> bool:
    """Whether the word is used for something else: a determiner, an attribute, a condition, part of a
    compound."""
    if compound(text, start, end):
        return True
    if word == "no" and _DETERMINER.match(text, end):
        return True
    before = text[max(0, start - 24) : start]
    if _CONDITION.search(before):
        return True
    return bool(_ATTRIBUTE.search(before) and _NOUN.match(text, end))


_ALONE = r"[\s,，。.!！?？:：;；\"“”'（）()*]"


def _pattern(word: str) -> str:
    """Chinese words of one or two characters count only on their own: 是 is also the verb "is"."""
    if word and "\u3400" <= word[0] <= "\u9fff":
        before = rf"(?:^|(?<={_ALONE})|(?<=答案是)|(?<=答案为)|(?<=は))"
        return rf"{before}{re.escape(word)}(?:的)?(?={_ALONE}|$|です|であ|だ)"
    return word_pattern(word)
