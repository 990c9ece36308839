"""Phrases that announce an answer, and the place where an output runs on to the next question."""

from __future__ import annotations

import re
from functools import lru_cache

from icl.prompts.template import answer_cue, query_head
from icl.types import Task

_NOTE = r"(?:\s*[(（][^()（）\n]{0,60}[)）])?"
_ENGLISH = (
    rf"\b(?:answers?|(?:correct|right|best)\s+(?:option|choice)){_NOTE}(?:\s+(?:to|for|of)\s+[^.,\n:]{{1,80}}?)?{_NOTE}\s*"
    r"(?:\*\*)?\s*(?:(?:is|are|was|would\s+be|will\s+be|should\s+be|must\s+be)\b(?:\s*(?:therefore|thus|just|simply|"
    r"approximately|about|equal\s+to|option|choice)\b)*\s*:?|[:：=])(?:\*\*)?"
)
_CHINESE = (
    r"(?:最终|最后|正确|所以|因此)?的?(?:答案|(?<=最终)结果)(?:应该|应当|就)?(?:是|为|等于|[:：=])\s*[:：]?"
    r"|(?:^|\n)\s*答\s*[:：]|(?:应|故|所以|因此)?选(?:择|项)?(?=\s*[(（]?[A-Z](?![A-Za-z]))"
)
# Four hashes end a GSM8K solution, but also head a section in Markdown
_MARKS = r"(?<!#)####(?!#)(?=\s*(?:[^\w\s]{1,3}\s*)?(?:\d|[A-Z]\b|yes\b|no\b|true\b|false\b))|\\boxed\s*\{"

TRIGGER = re.compile(f"{_ENGLISH}|{_CHINESE}|{_MARKS}", re.IGNORECASE)
"""A trigger phrase up to where the answer should begin."""


def trigger_ends(text: str) -> list[int]:
    """Where each trigger phrase ends, in order."""
    return [hit.end() for hit in TRIGGER.finditer(text)]


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
    the model goes on as in a list).
    """
    boundary = _boundary(query_head(task.template), task.template.separator)
    ends = [hit.start() for hit in boundary.finditer(output) if output[: hit.start()].strip()]
    end = min([*ends[:1], *_second_answers(output, task)], default=None)
    return (output, False) if end is None else (output[:end], True)


def _second_answers(output: str, task: Task) -> list[int]:
    """Where lines that begin another answer follow one that was announced. Not in multiple choice, where
    they may list the choices."""
    cue = "" if task.kind == "multiple_choice" else answer_cue(task.template)
    begins = [word for word in (cue, _NEXT_LETTER.get(cue, "")) if word and word in output]
    announced = trigger_ends(mask_cue(output, task))[:1] if begins else []
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
