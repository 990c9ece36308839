"""Brackets that pair up: where a program, a LaTeX argument or a quotation ends."""

from __future__ import annotations

PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = {b: a for a, b in PAIRS.items()}


def closing(text: str, start: int, end: int | None = None) -> int | None:
    """Position of the bracket that closes text[start]; None where none does before `end`.

    Brackets inside double quotes do not count, where the quotes pair up.
    """
    stop = len(text) if end is None else end
    quoted = text.count('"', start, stop) % 2 == 0
    stack: list[str] = []
    inside = False
    for at in range(start, stop):
        character = text[at]
        if character == '"' and quoted and text[at - 1 : at] != "\\":
            inside = not inside
        elif inside:
            continue
        elif character in PAIRS:
            stack.append(PAIRS[character])
        elif character in _CLOSERS:
            if not stack or stack.pop() != character:
                return None
            if not stack:
                return at
    return None


def brace_end(text: str, start: int) -> int | None:
    """Position of the brace that closes the one before `start` (of "\\boxed{"); other brackets do not
    count."""
    depth = 1
    for at in range(start, len(text)):
        if text[at] == "{" and text[at - 1] != "\\":
            depth += 1
        elif text[at] == "}" and text[at - 1] != "\\":
            depth -= 1
            if depth == 0:
                return at
    return None


def balanced(text: str) -> bool:
    """Whether every bracket of `text` has its partner."""
    stack: list[str] = []
    for character in text:
        if character in PAIRS:
            stack.append(PAIRS[character])
        elif character in _CLOSERS and (not stack or stack.pop() != character):
            return False
    return not stack
