"""Where an answer is announced, and where an output runs on to the next question."""

from __future__ import annotations

import re
from functools import lru_cache

from icl.prompts.answers.patterns import lazy
from icl.prompts.answers.wording.languages import anchors, announcement
from icl.prompts.template import answer_cue, query_head
from icl.thinking import hide_thinking
from icl.types import Task

_CONDITION = lazy(
    r"\b(?:if|whether|unless|suppose|assuming|until)\s+(?:that\s+)?(?:(?:the|this|my|your|our|its)\s+)?(?:(?:final|correct|right|best)\s+)?$",
    re.IGNORECASE,
)


_LEAD, _LENGTH = 16, 400
"""Characters of an announcement before its anchor, and of all of it."""


@lru_cache(maxsize=8)
def announcements(text: str, language: str = "en") -> tuple[tuple[int, int], ...]:
    """Spans of the phrases that announce an answer, in order; not of "if the answer is ..."."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters have a lower case of another length
        lowered = text
    found = {at for word in anchors(language) for at in _positions(lowered, word)}
    pattern, spans, done = announcement(language), [], 0
    for at in sorted(found):
        if at < done:
            continue
        starts = [i.start() for i in _OPENING.finditer(text, max(done, at - _LEAD), at)]
        hit = next((h for i in (*starts, at) if (h := pattern.match(text, i, at + _LENGTH))), None)
        if hit is None:
            continue
        done = hit.end()
        if not _CONDITION.search(text, max(0, hit.start() - 40), hit.start()):
            spans.append(hit.span())
    return tuple(spans)


_OPENING = lazy(r"(?<![A-Za-z])\S|[^\sA-Za-z]|\n")
"""Where an announcement may begin: not inside a word, nor in the space before one."""


def _positions(text: str, word: str) -> list[int]:
    found, at = [], text.find(word)
    while at >= 0:
        found.append(at)
        at = text.find(word, at + 1)
    return found


def trigger_ends(text: str, language: str = "en") -> list[int]:
    """Where each of them ends."""
    return [end for _, end in announcements(text, language)]


_NEXT_TURN = (
    r"<\|im_(?:end|start)\|>|<\|endoftext\|>|<\|eot_id\|>|<\|end_of_text\|>|</s>|<end_of_turn>",
    r"\n\s*(?:\*\*|#+\s*)?(?:Q|Question|Problem|Exercise|User|Human|Instruction)(?:\s+\d+|\s*#\d+)?\s*(?:\*\*)?\s*[:：]",
    r"\n\s*(?:问题|问|题目|例题?)\s*\d*\s*[:：]",
)

_NEXT_LETTER = {"A:": "B:"}
_NO_ANSWER = " \t\n*:：."


@lru_cache(maxsize=512)
def _boundary(head: str, separator: str) -> re.Pattern[str]:
    """Where the next question begins, for templates whose query begins with `head`."""
    patterns = list(_NEXT_TURN)
    if separator.strip():
        tail = r"[ \t]*(?:\n|$)" if separator.endswith("\n") else ""
        patterns.append(re.escape(separator.rstrip()) + tail)
    if head:
        # A head such as "Review:" begins a line only when a new item begins; plain words may also
        # begin a line of a chain of thought, so they count only after the whole separator.
        lead = r"\n\s*" if not head[-1].isalnum() else re.escape(separator)
        if lead:
            patterns.append(lead + re.escape(head))
    return re.compile("|".join(patterns), re.IGNORECASE)


def mask_cue(text: str, task: Task) -> str:
    """Spaces for the query template's own cue ("A:") where it opens a line of the output, once or more."""
    cue = answer_cue(task.template)
    if not cue or cue not in text:
        return text
    return re.sub(rf"(?m)^[ \t*]*(?:{re.escape(cue)}[ \t]*)+", lambda hit: " " * len(hit[0]), text)


def cut_run_on(output: str, task: Task) -> tuple[str, bool]:
    """The output up to the next question, and whether there was one.

    The next question begins with the task's own separator (unless that is only white space, which
    also separates the paragraphs of an answer), the head of its query template, the usual heads
    ("Q:", "Question:", ...) at the start of a line, or a chat model's end-of-turn token. A head
    at the very start of the output opens the answer and is not a next question. Once an answer has
    been announced, a line that begins with the template's own cue begins another ("A:", or "B:" where
    the model goes on as in a list). Inside a thinking block nothing ends.
    """
    boundary = _boundary(query_head(task.template), task.template.separator)
    seen, _ = hide_thinking(output, task.reading.think)
    ends = [hit.start() for hit in boundary.finditer(seen) if seen[: hit.start()].strip()]
    end = min([*ends[:1], *_second_answers(seen, task)], default=None)
    return (output, False) if end is None else (output[:end], True)


def _second_answers(output: str, task: Task) -> list[int]:
    """Where lines that begin another answer follow one that was announced. Not in multiple choice, where
    they may list the choices."""
    cue = "" if task.kind == "multiple_choice" else answer_cue(task.template)
    begins = [word for word in (cue, _NEXT_LETTER.get(cue, "")) if word and word in output]
    announced = trigger_ends(mask_cue(output, task), task.language)[:1] if begins else []
    if not announced:
        return []
    lines = re.compile(rf"\n[ \t*]*(?:{'|'.join(map(re.escape, begins))})")
    hits = (hit.start() for hit in lines.finditer(output, announced[0]))
    return [at for at in hits if _may_hold_an_answer(output[announced[0] : at], task)]


def _may_hold_an_answer(text: str, task: Task) -> bool:
    if task.kind == "numeric":
        return any(character.isdigit() for character in text)
    if task.labels:
        words = [*task.labels, *task.verbalisers.values()]
        return any(word.casefold() in text.casefold() for word in words)
    return bool(text.strip(_NO_ANSWER))
