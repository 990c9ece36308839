"""From what a model wrote to an answer in the task's canonical form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from icl.prompts.answers.boolean import boolean_candidates
from icl.prompts.answers.choice import choice_candidates
from icl.prompts.answers.cleansing import zero_shot_cot_cleansing
from icl.prompts.answers.label import label_candidates
from icl.prompts.answers.numeric import numeric_candidates, result_of
from icl.prompts.answers.reading import (
    Candidate,
    ParsedAnswer,
    Span,
    Where,
    first_of,
    last_of,
    sentence_end,
)
from icl.prompts.answers.strings import first_string, flatten, last_string, string_after
from icl.prompts.answers.triggers import cut_run_on, mask_cue, trigger_ends
from icl.types import Query, Task

Rules = Literal["robust", "zero_shot_cot"]
_OPERATOR = re.compile(r"\s[-+*/×÷x]\s|=")


def default_where(task: Task) -> Where:
    """Classification is answered at once, so its first match counts; the others by trigger."""
    return "first" if task.kind == "classification" else "trigger"


def parse(
    output: str,
    task: Task,
    query: Query,
    *,
    where: Where | None = None,
    rules: Rules = "robust",
    cut: bool = False,
) -> ParsedAnswer:
    """Reads the answer out of `output`; never raises, whatever the model wrote.

    where: "trigger" for chains of thought (the first match after the last trigger phrase, else the
    last match); "first" for answers that come at once (direct prompting, the second stage of
    zero-shot CoT); "last". Default: `default_where(task)`.
    rules: "zero_shot_cot" applies the published cleansing of Kojima et al. instead, where "first"
    is its zero-shot and "trigger" its few-shot reading.
    cut: the output was broken off by the token limit. An announcement, or a last number, that its end
    broke into ("The answer is 4", of 43900) counts only where there is none before it. "first" and
    the published rules pay no heed to it.

    The canonical form is a label of the task, a letter of the query's choices, a number without
    unit, separators and trailing zeros ("1/3" where decimals would not end), or the text without
    quotes and closing punctuation. Reading a canonical form gives the same form.
    """
    where = where or default_where(task)
    if rules == "zero_shot_cot":
        answer = zero_shot_cot_cleansing(output, task, query, few_shot=where != "first")
        return ParsedAnswer(answer, None, () if answer is not None else ("unparsed",))
    text, run_on = cut_run_on(output, task)
    found, flags = _read(mask_cue(text, task), task, query, where, cut and not run_on)
    if run_on:
        flags = ("run_on", *flags)
    if found is None:
        return ParsedAnswer(None, None, (*flags, "unparsed"))
    return ParsedAnswer(found.value, (found.start, found.end), flags)


def _read(
    text: str, task: Task, query: Query, where: Where, cut: bool
) -> tuple[Candidate | None, tuple[str, ...]]:
    if task.kind != "string":
        return _by_policy(_CandidateReader(text, task, query), text, task, where, cut)
    found, flags = _by_policy(_StringReader(text), text, task, where, cut)
    # An answer that holds an announcement of its own is read again, so that reading is idempotent
    while found is not None:
        inner, _ = _by_policy(_StringReader(found.value), found.value, task, where, cut=False)
        if inner is None or inner.value == found.value:
            break
        start = text.find(inner.value, found.start, found.end)
        span = (start, start + len(inner.value)) if start >= 0 else (found.start, found.end)
        found = Candidate(*span, inner.value)
    return found, flags


def _by_policy(
    reader: _StringReader | _CandidateReader, text: str, task: Task, where: Where, cut: bool
) -> tuple[Candidate | None, tuple[str, ...]]:
    if where == "first":
        return reader.first(), ()
    if where == "last":
        return reader.last(cut), ()
    ends = trigger_ends(text)
    broken = ends[-1] if cut and ends and _broken(reader, text, ends[-1], task) else None
    for start in reversed(ends):
        if start == broken:  # an announcement before it is whole
            continue
        if found := reader.after(start):
            return found, () if start == ends[-1] else ("empty_trigger" if broken is None else "unfinished",)
    if broken is not None and (found := reader.after(broken)):
        return found, ("unfinished",)
    found = reader.first() if task.kind == "classification" else reader.last(cut)
    return found, ("empty_trigger" if ends else "no_trigger",)


def _broken(reader: _StringReader | _CandidateReader, text: str, start: int, task: Task) -> bool:
    """Whether the end of the output broke into what is announced at `start`: into a text, a calculation,
    or the very number or word. A letter is whole as it stands."""
    if sentence_end(text, start) < len(text):
        return False
    found = reader.after(start)
    if found is None or task.kind == "string":
        return True
    if task.kind == "numeric" and _OPERATOR.search(text, found.end):
        return True
    return task.kind != "multiple_choice" and found.end == len(text)


class _CandidateReader:
    """Formats whose answers can be enumerated: labels, letters, numbers."""

    def __init__(self, text: str, task: Task, query: Query) -> None:
        self._text = text
        self._numeric = task.kind == "numeric"
        self._candidates = _candidates(text, task, query)

    def after(self, start: int) -> Candidate | None:
        found = first_of(self._candidates, self._text, start, len(self._text))
        return result_of(self._text, found) if found and self._numeric else found

    def first(self) -> Candidate | None:
        return self.after(0)

    def last(self, cut: bool) -> Candidate | None:
        found = last_of(self._candidates)
        if not (cut and self._numeric and found and found.end == len(self._text)):
            return found
        # Broken into: the one before it, where it is as surely a number, and after "=" a result too
        result = self._is_result(found)
        whole = [c for c in self._candidates if c.tier == found.tier and c.end < len(self._text)]
        return last_of([c for c in whole if self._is_result(c) or not result]) or found

    def _is_result(self, candidate: Candidate) -> bool:
        return self._text[: candidate.start].rstrip(" $€£¥").endswith("=")


def _candidates(text: str, task: Task, query: Query) -> Sequence[Candidate]:
    if task.kind == "multiple_choice":
        return choice_candidates(text, query)
    if task.kind == "numeric":
        return numeric_candidates(text)
    if task.kind == "boolean":
        return boolean_candidates(text, task)
    return label_candidates(text, task)


class _StringReader:
    """Free text, whose answers cannot be enumerated."""

    def __init__(self, text: str) -> None:
        self._text = text

    def after(self, start: int) -> Candidate | None:
        return self._candidate(string_after(self._text, start))

    def first(self) -> Candidate | None:
        return self._candidate(first_string(self._text))

    def last(self, cut: bool) -> Candidate | None:  # of a broken text there is no whole part
        return self._candidate(last_string(self._text))

    def _candidate(self, span: Span | None) -> Candidate | None:
        value = "" if span is None else flatten(self._text[slice(*span)])
        # "The answer is" announces one and is none
        if span is None or trigger_ends(value + ":")[-1:] in ([len(value)], [len(value) + 1]):
            return None
        return Candidate(*span, value)
