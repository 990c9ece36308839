"""From what a model wrote to an answer in the task's canonical form."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from icl.prompts.answers.cleansing import zero_shot_cot_cleansing
from icl.prompts.answers.policy import Found, Reader, by_policy, reader_of
from icl.prompts.answers.reading import ParsedAnswer, Where
from icl.prompts.answers.wording.languages import abstention
from icl.prompts.answers.wording.pattern import find_all
from icl.prompts.answers.wording.triggers import cut_run_on, mask_cue
from icl.thinking import hide_thinking, opened_by
from icl.types import Query, Task

Rules = Literal["robust", "zero_shot_cot"]


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
    after: str = "",
) -> ParsedAnswer:
    """Reads the answer out of `output`; never raises, whatever the model wrote.

    where: "trigger" for chains of thought (the first match after the last announcement, else what the
    text ends in); "first" for answers that come at once (direct prompting, the second stage of
    zero-shot CoT); "last". Default: `default_where(task)`.
    rules: "zero_shot_cot" applies the published cleansing of Kojima et al. instead, where "first"
    is its zero-shot and "trigger" its few-shot reading.
    cut: the output was broken off by the token limit. An announcement, or a last number, that its end
    broke into ("The answer is 4", of 43900) counts only where there is none before it. "first" and
    the published rules pay no heed to it.
    after: the prompt that the output goes on from. A thinking block with which it ends is open: what the
    output has before the closing mark is thinking, and all of it where there is none.

    Thinking blocks are no part of the answer. What cannot be told (two answers side by side, a letter that is
    not on offer, "I don't know") is no answer, and the flags say why (see ParsedAnswer). The task's `reading`
    may name its own pattern and marks.

    The canonical form is a label of the task, a letter of the query's choices, a number without
    unit, separators and trailing zeros ("1/3" where decimals would not end), or the text without
    quotes and closing punctuation. Reading a canonical form gives the same form.
    """
    opened = opened_by(after[-_MARK:], task.reading.think) if after else ""
    found = _parsed(opened + output, task, query, where or default_where(task), rules, cut)
    if not opened or found.span is None:
        return found
    start, end = found.span
    return replace(found, span=(start - len(opened), end - len(opened)))


_MARK = 200
"""Characters at the end of a prompt among which an opening mark is looked for."""


def _parsed(output: str, task: Task, query: Query, where: Where, rules: Rules, cut: bool) -> ParsedAnswer:
    if rules == "zero_shot_cot":
        seen, _ = hide_thinking(output, task.reading.think)
        answer = zero_shot_cot_cleansing(seen, task, query, few_shot=where != "first")
        return ParsedAnswer(answer, None, () if answer is not None else ("unparsed",))
    text, run_on = cut_run_on(output, task)
    text, still_thinking = hide_thinking(text, task.reading.think)
    if still_thinking and not text.strip():
        return ParsedAnswer(None, None, ("thinking", "unparsed"))
    found = _read(mask_cue(text, task), task, query, where, cut and not run_on)
    flags = (*(("run_on",) if run_on else ()), *(("thinking",) if still_thinking else ()), *found.flags)
    if found.answer is None or still_thinking:
        return ParsedAnswer(None, None, flags if "abstained" in flags else (*flags, "unparsed"))
    return ParsedAnswer(found.answer.value, (found.answer.start, found.answer.end), flags)


def _read(text: str, task: Task, query: Query, where: Where, cut: bool) -> Found:
    if task.reading.pattern:
        found = _by_pattern(text, task, query, where)
        if found is not None:
            return found
    found = by_policy(reader_of(text, task, query), text, task, query, where, cut)
    # A text that holds an announcement of its own is read again, so that reading is idempotent
    while task.kind == "string" and found.answer is not None:
        outer = found.answer
        inner = by_policy(
            reader_of(outer.value, task, query), outer.value, task, query, where, cut=False
        ).answer
        if inner is None or inner.value == outer.value:
            break
        start = text.find(inner.value, outer.start, outer.end)
        span = (start, start + len(inner.value)) if start >= 0 else (outer.start, outer.end)
        found = replace(found, answer=replace(inner, start=span[0], end=span[1]))
    return found


def _by_pattern(text: str, task: Task, query: Query, where: Where) -> Found | None:
    """What the task's own pattern finds: its last match, of "first" its first. None: no match, so the usual
    rules."""
    spans = find_all(task.reading.pattern, text)
    if spans is None:
        return Found(None, ("slow_pattern",))
    if not spans:
        return None
    start, end = spans[0] if where == "first" else spans[-1]
    reader: Reader = reader_of(text[start:end], task, query)
    found = by_policy(reader, text[start:end], task, query, "first", cut=False)
    if found.answer is None:
        abstained = abstention(task.language, words=task.kind != "string").search(text, start, end)
        return found if found.flags or not abstained else Found(None, ("abstained",))
    moved = replace(found.answer, start=found.answer.start + start, end=found.answer.end + start)
    return replace(found, answer=moved)
