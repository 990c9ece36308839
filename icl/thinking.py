"""Thinking aloud: blocks that some models write before their answer, and that are no part of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

Markers = tuple[tuple[str, str], ...]
"""(opens, closes) of the blocks a task's models write beside the known ones."""

Marks = list[str] | list[tuple[str, str]]
"""As a file has them: one pair, or a list of pairs."""

KNOWN: Markers = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<analysis>", "</analysis>"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<unused94>", "<unused95>"),
    ("<|channel>thought", "<channel|>"),
)
"""Of DeepSeek-R1 and Qwen3, Magistral, Kimi, Seed, LongCat, Command A, MedGemma, Gemma and common prompts."""
_HARMONY = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)\b.*?"
    r"(?P<end><\|channel\|>final(?:<\|message\|>)?|\Z)",
    re.DOTALL,
)
_FINAL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>final(?:<\|message\|>)?")
_BARE = re.compile(r"\A\s*analysis(?=[A-Z]).*?(?P<end>assistantfinal|\Z)", re.DOTALL)
"""gpt-oss, and the same where special tokens were left out."""


@lru_cache(maxsize=64)
def _tags(own: Markers) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern for any mark; opening -> closing (lower case)."""
    pairs = [(a.lower(), b.lower()) for a, b in (*own, *KNOWN)]
    marks = sorted({mark for pair in pairs for mark in pair}, key=len, reverse=True)
    closes = dict(reversed(pairs))
    return re.compile("|".join(map(re.escape, marks)), re.IGNORECASE), closes


def pairs_of(value: object) -> tuple[tuple[str, str], ...]:
    """Marks as a file has them: a list of pairs, or one pair without the outer brackets.

    Raises ValueError for anything else.
    """
    pairs = [value] if isinstance(value, list) and value and isinstance(value[0], str) else value
    if not isinstance(pairs, list | tuple) or not all(map(_is_pair, pairs)):
        raise ValueError(f"is {value!r}: must be an opening and a closing mark, or a list of such pairs")
    return tuple((opens, closes) for opens, closes in pairs)


def _is_pair(value: object) -> bool:
    """Whether it is two marks, neither of them empty."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(mark, str) and mark.strip() for mark in value)
    )


def thinking_spans(text: str, own: Sequence[tuple[str, str]] = ()) -> tuple[list[tuple[int, int]], bool]:
    """Spans of the blocks in `text`, marks included, and whether the last one is still open.

    A closing mark without its opening one ends a block that the prompt opened: all before it is thinking.
    """
    spans, is_open = _channels(text)
    if not own and "<" not in text and "[" not in text and "◁" not in text:
        return spans, is_open
    pattern, closes = _tags(tuple((a, b) for a, b in own))
    awaited, start = "", 0
    for hit in pattern.finditer(text):
        mark = hit.group().lower()
        if awaited:
            if mark == awaited:
                spans.append((start, hit.end()))
                awaited = ""
        elif mark in closes:
            awaited, start = closes[mark], hit.start()
        else:
            spans.append((0, hit.end()))
    if awaited:
        spans.append((start, len(text)))
        is_open = True
    return sorted(spans), is_open


def _channels(text: str) -> tuple[list[tuple[int, int]], bool]:
    """The same of gpt-oss, whose thinking and answer are channels."""
    if "analysis" not in text and "<|channel|>" not in text:
        return [], False
    hits = [*_HARMONY.finditer(text), *_BARE.finditer(text)]
    spans = [hit.span() for hit in hits] + [hit.span() for hit in _FINAL.finditer(text)]
    return spans, any(not hit["end"] for hit in hits)


def opened_by(prompt_end: str, own: Sequence[tuple[str, str]] = ()) -> str:
    """The mark of a thinking block with which a prompt ends, as some chat templates do; else the empty
    text."""
    plain = prompt_end.rstrip()
    marks = (opens for opens, _ in (*own, *KNOWN))
    return next((mark for mark in marks if plain.endswith(mark.rstrip())), "")


def hide_thinking(text: str, own: Sequence[tuple[str, str]] = ()) -> tuple[str, bool]:
    """The text with spaces in place of its thinking, so that positions stay; whether a block is still
    open."""
    spans, is_open = thinking_spans(text, own)
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text, is_open


def thinks(text: str, own: Sequence[tuple[str, str]] = ()) -> bool:
    """Whether `text` ends inside a block."""
    return thinking_spans(text, own)[1]
