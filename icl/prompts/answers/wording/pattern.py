"""A task's own announcement: a regular expression whose first group is read as the answer.

People share task files, and a pattern may take for ever on some text; so matching has a time limit.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import regex

from icl.prompts.answers.reading import Span

SECONDS = 1.0
"""One output's matching may take so long. A sane pattern needs a thousandth of it."""


def problem(pattern: str) -> str | None:
    """What is wrong with a pattern, in words; None where it can be used."""
    try:
        compiled = _compiled(pattern)
    except regex.error as error:
        return f"{pattern!r} is no regular expression: {error}"
    if compiled.groups < 1:
        return f"{pattern!r} has no group; put brackets around what is the answer, e.g. 'Answer: (\\w+)'"
    return None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return regex.compile(pattern, regex.MULTILINE)


def find_all(pattern: str, text: str) -> list[Span] | None:
    """Spans of the first group that took part, of every match in order; None where the time was up."""
    spans = []
    try:
        for hit in _compiled(pattern).finditer(text, timeout=SECONDS):
            group = next((g for g in range(1, len(hit.groups()) + 1) if hit[g] is not None), None)
            if group is not None and hit[group].strip():
                spans.append(hit.span(group))
    except TimeoutError:
        return None
    return spans
