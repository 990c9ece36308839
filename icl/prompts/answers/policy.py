"""Which of the possible answers in a text counts, and when none does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from icl.prompts.answers.formats.boolean import boolean_candidates
from icl.prompts.answers.formats.choice import choice_candidates, chooses_elsewhere
from icl.prompts.answers.formats.label import label_candidates
from icl.prompts.answers.formats.numeric import concluded, numeric_candidates, result_of
from icl.prompts.answers.formats.strings import first_string, flatten, last_string, string_after
from icl.prompts.answers.numbers.algebra import algebra
from icl.prompts.answers.numbers.find import Number, as_candidate
from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.reading import (
    SENTENCE_END,
    UNREADABLE,
    Candidate,
    Span,
    Where,
    directly_after,
    first_of,
    last_of,
    sentence_end,
)
from icl.prompts.answers.wording.alternatives import rival
from icl.prompts.answers.wording.languages import OFF_LIST, abstention
from icl.prompts.answers.wording.refusals import refused
from icl.prompts.answers.wording.triggers import trigger_ends
from icl.types import Query, Task

_OPERATOR = lazy(r"\s[-+*/×÷x]\s|=")
_OPENING_WORDS = 12
"""Characters that may stand before "I don't know" in an answer that says no more than that."""
_HEDGE = lazy(
    r"\b(?:but|maybe|perhaps|probably|possibly|guess|think|suppose|best|likely|if\s+I|so|however)\b|但|可能",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer in a text, or why there is none."""

    answer: Candidate | None
    flags: tuple[str, ...] = ()


class Reader(Protocol):
    """One text's possible answers."""

    def after(self, start: int) -> Found:
        """What a reader takes for the answer when it should come at `start`."""
        ...

    def last(self, cut: bool, *, sure: bool) -> Found:
        """The last one; sure: None where the text's end names several as equals."""
        ...


def reader_of(text: str, task: Task, query: Query) -> Reader:
    """The reader for the task's kind."""
    return StringReader(text, task) if task.kind == "string" else CandidateReader(text, task, query)


def by_policy(reader: Reader, text: str, task: Task, query: Query, where: Where, cut: bool) -> Found:
    """The answer by one of the three policies; flags without an answer say why."""
    if where == "first":
        return _unless_unknown(_first(reader), text, task, 0)
    if where == "last":
        return _unless_unknown(reader.last(cut, sure=False), text, task, None)
    ends = trigger_ends(text, task.language)
    broken = ends[-1] if cut and ends and _broken(reader, text, ends[-1], task) else None
    for start in reversed(ends):
        if start == broken:  # an announcement before it is whole
            continue
        found = _announced(reader, text, task, query, start)
        if found is None:
            continue
        if start == ends[-1] or found.answer is None:
            return found
        flag = "empty_trigger" if broken is None else "unfinished"
        return _guess(Found(found.answer, (flag, *found.flags)), task)
    if broken is not None and (found := reader.after(broken)).answer:
        return Found(found.answer, ("unfinished", *found.flags))
    found = _first(reader) if task.kind == "classification" else reader.last(cut, sure=True)
    flag = "empty_trigger" if ends else "no_trigger"
    if found.answer is not None and not ends and refused(text, found.answer.start):
        return Found(None, (flag, "abstained"))
    return _guess(_unless_unknown(Found(found.answer, (flag, *found.flags)), text, task, None), task)


def _first(reader: Reader) -> Found:
    return reader.first() if isinstance(reader, StringReader) else reader.after(0)


def _guess(found: Found, task: Task) -> Found:
    """Nothing where the task allows no guess after an empty announcement."""
    return (
        found if task.reading.guess or "empty_trigger" not in found.flags else Found(None, ("empty_trigger",))
    )


def _announced(reader: Reader, text: str, task: Task, query: Query, start: int) -> Found | None:
    """What an announcement that ends at `start` says; None where it says nothing."""
    end = sentence_end(text, start)
    found = reader.after(start)
    here = found.answer
    near = here is not None and here.start < end
    unknown = abstention(task.language, words=task.kind != "string").search(text, start, end)
    if unknown and not (near and here is not None and _said_in_spite(text, unknown.span(), here, task)):
        return Found(None, ("abstained",))
    if near or "ambiguous" in found.flags:
        if task.kind == "multiple_choice" and here is not None and _passes_over(text, start, here, query):
            return Found(None, ("off_list",))
        return found
    if task.kind == "multiple_choice" and chooses_elsewhere(text, start, end, query):
        return Found(None, ("off_list",))
    if task.labels and OFF_LIST.search(text, start, end):
        return Found(None, ("off_list",))
    return found if here is not None else None


def _passes_over(text: str, start: int, here: Candidate, query: Query) -> bool:
    """Whether another letter, or "none of them", was announced, and `here` is only what came behind it."""
    between = text[start : here.start]
    if OFF_LIST.search(text, start, here.start):
        return not _HEDGE.search(between)
    letter = re.match(r"[\s(\[{*\"']*(?-i:([B-HJ-Z]))[)\]}*\"'.]", between)
    return bool(letter and letter[1] not in query.choices and between[letter.end() :].strip(" )]}*\"'.:,-"))


def _said_in_spite(text: str, unknown: Span, here: Candidate, task: Task) -> bool:
    """Whether an answer stands within the words of not knowing (a choice may be "unknown"), before them, or
    behind them as a guess ("I don't know, but probably B")."""
    if task.kind == "string":  # a text is its own candidate: the words must not be how it begins
        return unknown[0] > here.start + _OPENING_WORDS
    if here.start < unknown[1]:
        return here.end <= unknown[0] or here.end > unknown[0]
    return bool(_HEDGE.search(text, unknown[1], here.start))


def _unless_unknown(found: Found, text: str, task: Task, start: int | None) -> Found:
    """Nothing where the model says that it does not know: at the start of the text, or (None) in its last
    sentence."""
    pattern = abstention(task.language, words=task.kind != "string")
    here = found.answer
    if start is not None:
        hit = pattern.search(text, start, sentence_end(text, start))
        last = hit
    else:
        begin = 0 if here is None else _sentence_start(text, here.start)
        hits = list(pattern.finditer(text, begin))
        last = hits[-1] if hits else None
    if last is None:
        return found
    if here is None:
        return Found(None, (*found.flags, "abstained"))
    if task.kind == "string":
        # A text is its own candidate: the words must be all that it says
        covered = here.start <= last.start() <= here.start + _OPENING_WORDS
        return Found(None, (*found.flags, "abstained")) if covered else found
    in_front = (
        start is not None and last.end() <= here.start and not _HEDGE.search(text, last.end(), here.start)
    )
    behind = start is None and last.start() >= here.end and sentence_end(text, here.start) <= last.start()
    same = (
        start is None
        and last.end() <= here.start
        and not _HEDGE.search(text, last.end(), here.start)
        and (here.start <= sentence_end(text, last.start()))
    )
    return Found(None, (*found.flags, "abstained")) if in_front or behind or same else found


def _sentence_start(text: str, at: int) -> int:
    """Where the sentence or line begins that text[at] is in."""
    found = [hit.end() for hit in SENTENCE_END.finditer(text, max(0, at - 600), at)]
    return found[-1] if found else max(0, at - 600)


def _broken(reader: Reader, text: str, start: int, task: Task) -> bool:
    """Whether the end of the output broke into what is announced at `start`: into a text, a calculation,
    or the very number or word. A letter is whole as it stands."""
    if sentence_end(text, start) < len(text):
        return False
    found = reader.after(start).answer
    if found is None or task.kind == "string":
        return True
    if task.kind == "numeric" and _OPERATOR.search(text, found.end):
        return True
    return task.kind != "multiple_choice" and found.end == len(text)


class CandidateReader:
    """Formats whose answers can be enumerated: labels, letters, numbers."""

    def __init__(self, text: str, task: Task, query: Query) -> None:
        self._text = text
        self._language = task.language
        self._numeric = task.kind == "numeric"
        self._numbers: list[Number] = []
        if self._numeric:
            self._numbers, self._candidates = numeric_candidates(text, task.language)
        elif task.kind == "multiple_choice":
            self._candidates = choice_candidates(text, query, task.language)
        elif task.kind == "boolean":
            self._candidates = boolean_candidates(text, task)
        else:
            self._candidates = label_candidates(text, task)

    def after(self, start: int) -> Found:
        """See Reader."""
        chosen = first_of(self._candidates, self._text, start, len(self._text))
        if chosen is None:
            return Found(None)
        flags: tuple[str, ...] = ()
        if self._numeric:
            unknown, solved = algebra(self._text, self._numbers, start)
            if unknown and solved is None:
                return Found(None, ("ambiguous",))
            chosen = chosen if solved is None else as_candidate(solved)
            resolved, worked = result_of(self._text, self._numbers, chosen)
            if resolved is None:
                return Found(None, ("ambiguous",))
            flags = ("calculated",) if worked else ()
            if resolved != chosen:
                return self._readable(resolved, flags)
        if self._numeric and start == 0 and not directly_after(self._text, 0, chosen):
            return self._readable(chosen, flags)  # the first of a running text, whatever goes on
        return self._alone(chosen, flags, self._candidates)

    def last(self, cut: bool, *, sure: bool) -> Found:
        """See Reader."""
        candidates = self._candidates
        found = last_of(candidates)
        if cut and self._numeric and found and found.end == len(self._text):
            # Broken into: the one before it, where it is as surely a number, and after "=" a result too
            result = self._is_result(found)
            whole = [c for c in candidates if c.tier == found.tier and c.end < len(self._text)]
            whole = [c for c in whole if self._is_result(c) or not result]
            found, candidates = last_of(whole) or found, whole or candidates
        if found is None or not sure or (cut and self._numeric):
            return Found(None) if found is None else self._readable(found, ())
        if not self._numeric:
            return self._alone(found, (), candidates)
        told = concluded(self._text, candidates, found, self._language)
        return Found(None, ("ambiguous",)) if told is None else self._readable(told, ())

    def _alone(self, chosen: Candidate, flags: tuple[str, ...], candidates: list[Candidate]) -> Found:
        if rival(self._text, chosen, candidates, self._language, units=self._numeric) is not None:
            return Found(None, ("ambiguous",))
        return self._readable(chosen, flags)

    def _readable(self, chosen: Candidate, flags: tuple[str, ...]) -> Found:
        return Found(None, ("ambiguous",)) if chosen.value == UNREADABLE else Found(chosen, flags)

    def _is_result(self, candidate: Candidate) -> bool:
        return self._text[: candidate.start].rstrip(" $€£¥").endswith("=")


class StringReader:
    """Free text, whose answers cannot be enumerated."""

    def __init__(self, text: str, task: Task) -> None:
        self._text = text
        self._language = task.language

    def after(self, start: int) -> Found:
        """See Reader."""
        return Found(self._candidate(string_after(self._text, start, self._language)))

    def first(self) -> Found:
        """The first line, or what is announced in it."""
        return Found(self._candidate(first_string(self._text, self._language)))

    def last(self, cut: bool, *, sure: bool) -> Found:  # of a broken text there is no whole part
        """See Reader."""
        return Found(self._candidate(last_string(self._text, self._language)))

    def _candidate(self, span: Span | None) -> Candidate | None:
        value = "" if span is None else flatten(self._text[slice(*span)])
        # "The answer is" announces one and is none
        if (
            span is None
            or not value
            or trigger_ends(value + ":", self._language)[-1:] in ([len(value)], [len(value) + 1])
        ):
            return None
        return Candidate(*span, value)
