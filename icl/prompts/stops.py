"""Texts at which what a model writes after a prompt has ended.

They belong to the layout. In a plain text nothing ends an answer but the beginning of what would come
next. In a chat the model ends its own turn, and a blank line or a "Q:" inside it is part of the answer.
"""

from __future__ import annotations

from icl.prompts.template import query_head
from icl.types import Task


def answer_stops(task: Task) -> tuple[str, ...]:
    """Of a short answer: the task's separator, and the words with which its next question would begin
    a line."""
    separator, head = task.template.separator, query_head(task.template)
    # A separator of spaces would end an answer at its first word.
    found = [separator] if separator.strip(" \t") else []
    found += [f"\n{head}"] if head else []
    return tuple(found)


def chain_stops(task: Task) -> tuple[str, ...]:
    """Of a chain of thought: the beginning of the task's next question; blank lines end nothing.

    A query that begins with plain words ("If ...") ends a chain only after the whole separator,
    since a line of reasoning may begin with those words too; one that begins with an input ends
    it by the separator.
    """
    separator, head = task.template.separator, query_head(task.template)
    if not head:
        return (separator,) if separator.strip(" \t") else ()
    return (f"{separator}{head}",) if head[-1].isalnum() else (f"\n{head}",)
