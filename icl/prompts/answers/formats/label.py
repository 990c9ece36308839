"""Classification: the verbalisers and names of labels that occur."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from icl.errors import ConfigError
from icl.prompts.answers.formats.letters import letter_candidates
from icl.prompts.answers.reading import Candidate, narrow, word_pattern
from icl.prompts.answers.wording.negation import PREFIX, compound, denied
from icl.prompts.answers.wording.triggers import trigger_ends
from icl.prompts.template import render
from icl.types import Task, Template

Words = tuple[tuple[str, str, int], ...]
"""(words, label, tier): what stands for a label in a text."""


def label_words(task: Task) -> Words:
    """What may stand for each label: its verbaliser, its name, and what the answer template makes of it."""
    return _known_words(task.labels, tuple(task.verbalisers.items()), task.template.answer)


@lru_cache(maxsize=128)
def _known_words(labels: tuple[str, ...], verbalisers: tuple[tuple[str, str], ...], answer: str) -> Words:
    task = Task("", "classification", Template("", answer), (), labels, dict(verbalisers))
    words: dict[str, tuple[str, str, int]] = {}
    for tier, name in ((0, task.verbalise), (0, lambda label: rendered(task, label)), (1, str)):
        for label in task.labels:
            said = " ".join(name(label).split())
            if said:
                words.setdefault(narrow(said).casefold(), (narrow(said), label, tier))
    return tuple(words.values())


def rendered(task: Task, label: str) -> str:
    """What the answer template writes for a label, without white space around it; empty where that depends
    on the item."""
    return _rendered(task.template.answer, task.verbalise(label))


@lru_cache(maxsize=4096)
def _rendered(template: str, word: str) -> str:
    try:
        return render(template, {"answer": word}, "").strip()
    except ConfigError:
        return ""


@lru_cache(maxsize=256)
def _compiled(
    words: Words,
) -> tuple[re.Pattern[str] | None, Mapping[str, tuple[str, int]], Mapping[str, str]]:
    """One pattern for all words of two letters and more, longest first; squeezed word -> label; single
    letters."""
    long = sorted(
        (w for w in words if len(w[0]) > 1 or not w[0].isalpha() or not w[0].isascii()),
        key=lambda w: -len(w[0]),
    )
    short = {
        word.upper(): label
        for word, label, _ in words
        if len(word) == 1 and word.isascii() and word.isalpha()
    }
    bodies = []
    for word, _, _ in long:
        guard = (
            (r"(?<!\d[.,])(?<!\d)", r"(?![.,]?\d)") if word[0].isdigit() or word[-1].isdigit() else ("", "")
        )
        bodies.append(guard[0] + word_pattern(word) + guard[1])
    table: dict[str, tuple[str, int]] = {}
    for word, label, tier in long:
        table.setdefault(squeeze(word), (label, tier))
    return re.compile("|".join(bodies), re.IGNORECASE) if bodies else None, table, short


def squeeze(word: str) -> str:
    """Without case and spaces, and without hyphens and underscores between letters: what tells words
    apart."""
    return re.sub(r"(?<=[^\W\d_])[-_]+(?=[^\W\d_])", "", re.sub(r"\s+", "", narrow(word))).casefold()


@lru_cache(maxsize=256)
def opposites(labels: tuple[str, ...], words: Words) -> Mapping[str, str]:
    """label -> the label that is its negation by its words: toxic -> non-toxic."""
    found = {}
    for word, label, _ in words:
        for other, opposite, _ in words:
            if opposite != label and re.fullmatch(PREFIX + re.escape(squeeze(word)), squeeze(other)):
                found[label] = opposite
    return found


def label_candidates(text: str, task: Task) -> list[Candidate]:
    """Labels in `text`, longer words hiding those inside; a denied label stands for its opposite, where
    there is one."""
    text = narrow(text)
    words = label_words(task)
    pattern, table, short = _compiled(words)
    found: list[Candidate] = []
    for hit in pattern.finditer(text) if pattern is not None else ():
        known = table.get(squeeze(hit.group()))
        if known is not None and not compound(text, *hit.span()):
            found.append(Candidate(*hit.span(), *known))
    if short:
        announced = trigger_ends(text, task.language)
        found += letter_candidates(text, short, announced, task.language)
        found.sort(key=lambda c: c.start)
    return _without_denied(text, found, task, words)


def _without_denied(text: str, found: list[Candidate], task: Task, words: Words) -> list[Candidate]:
    refused = denied(text, found, task.language, no=True)
    if not refused:
        return found
    other = opposites(task.labels, words)
    kept = []
    for at, c in enumerate(found):
        if at not in refused:
            kept.append(c)
        elif c.value in other:
            kept.append(Candidate(c.start, c.end, other[c.value], c.tier))
    return kept
