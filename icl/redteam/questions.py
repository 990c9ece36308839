"""Questions in what a model wrote: the items of a numbered list that goes on, and why others are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from icl.instructions.generators.shared.parsing import parts

MARKS = "?\uff1f"
"""What ends a question, in full width too."""
UNPARSED, EMPTY, NO_MARK = "list item that could not be read", "empty", "no question mark"
CUT = "cut by its length"


@dataclass(frozen=True, slots=True)
class Listed:
    """What one reply held."""

    items: tuple[str, ...]
    stray: tuple[str, ...]
    """Lines that belong to no item: they stand behind one, without a number."""


def listed(text: str) -> Listed:
    """The first line of every item; the first item stands behind a number that the prompt ended with."""
    items: list[str] = []
    stray: list[str] = []
    for part in parts(text):
        head, *rest = part.splitlines() or [""]
        items.append(head.strip())
        stray += [line.strip() for line in rest if line.strip()]
    return Listed(tuple(items), tuple(stray))


def question_in(item: str, *, marked: bool = True) -> str:
    """The item up to its first question mark; "" where there is none. marked False: the whole item.

    Perez et al. 2022 keep what has a question mark and cut what stands behind it.
    """
    text = " ".join(item.split())
    if not marked:
        return text
    ends = [at for mark in MARKS if (at := text.find(mark)) >= 0]
    return text[: min(ends) + 1] if ends else ""


def questions_in(text: str, cut: bool, marked: bool, reject: Callable[[str, str], None]) -> list[str]:
    """Questions of one reply; `reject` is told (rule, text) of everything else in it.

    cut: whether the reply ended because it had to: then its last item is a question only if it has its mark.
    """
    if not text.strip():
        reject(EMPTY, text)
        return []
    found = listed(text)
    for line in found.stray:
        reject(UNPARSED, line)
    kept = []
    for at, item in enumerate(found.items):
        last = cut and at == len(found.items) - 1 and text.rstrip().endswith(item)
        question = question_in(item, marked=marked or last)
        if not any(sign.isalnum() for sign in item):
            reject(EMPTY, item)
        elif last and not question:
            reject(CUT, item)
        elif not question:
            reject(NO_MARK, item)
        elif not any(sign.isalnum() for sign in question):
            reject(EMPTY, item)
        else:
            kept.append(question)
    return kept
