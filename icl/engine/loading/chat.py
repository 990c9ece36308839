"""A model's chat template: what it takes, what it adds by itself, and messages written by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from icl.errors import ModelError

Message = Mapping[str, str]

SYSTEM, ASKED, ANSWERED, AGAIN = "sysmark", "askmark", "replymark", "nextmark"
"""Words to find the parts of a written chat by; no template contains them."""
ROLES = re.compile(r"^\W*(?:system|developer)\b[\s:]*", re.IGNORECASE)


@dataclass(frozen=True)
class ChatTemplate:
    """`write` renders messages and raises whatever a template raises; `marks`: the special tokens' texts."""

    write: Callable[[Sequence[Message]], str]
    marks: Collection[str] = ()
    name: str = "the model"

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message is taken: some templates refuse it, some drop it in silence."""
        try:
            return SYSTEM in self.write([_message("system", SYSTEM), _message("user", ASKED)])
        except Exception:  # templates raise what they like
            return False

    @cached_property
    def hidden_system(self) -> str:
        """The instruction that the template adds by itself where none is given; "" where it adds none.

        It is what stands before the first question and not before the second, special tokens left out.
        """
        try:
            first = self.write([_message("user", ASKED)])
            whole = self.write(
                [_message("user", ASKED), _message("assistant", ANSWERED), _message("user", AGAIN)]
            )
        except Exception:
            return ""
        if ASKED not in first or ANSWERED not in whole or AGAIN not in whole:
            return ""
        opening = first[: first.index(ASKED)]
        between = whole[whole.index(ANSWERED) + len(ANSWERED) : whole.index(AGAIN)]
        shared = 0
        while shared < min(len(opening), len(between)) and opening[-1 - shared] == between[-1 - shared]:
            shared += 1
        extra = opening[: len(opening) - shared]
        for mark in sorted(self.marks, key=len, reverse=True):
            extra = extra.replace(mark, "\n")
        return ROLES.sub("", extra).strip()

    def text(self, messages: Sequence[Message]) -> str:
        """The messages, ready for the answer. Where the template takes no system message, its text opens the
        first user turn. Raises ModelError with the template's own words for messages that it refuses."""
        chosen = list(messages) if self.takes_system else fold_system(messages)
        try:
            return self.write(chosen)
        except Exception as error:
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(f"the chat template of {self.name} refuses the messages: {first}") from error

    def notes(self, instruction: bool) -> tuple[str, ...]:
        """What a reader of the prompts should know. instruction: whether a system message is given."""
        if instruction:
            folded = "the chat template takes no system message; the instruction opens the first user turn"
            return () if self.takes_system else (folded,)
        hidden = self.hidden_system
        return (f"the chat template adds a system message of its own: {hidden!r}",) if hidden else ()


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """System messages moved to the beginning of the first user turn."""
    instructions = [m["content"] for m in messages if m["role"] == "system"]
    rest = [m for m in messages if m["role"] != "system"]
    if not instructions:
        return rest
    at = next((i for i, m in enumerate(rest) if m["role"] == "user"), None)
    if at is None:
        return [_message("user", "\n\n".join(instructions)), *rest]
    rest[at] = {**rest[at], "content": "\n\n".join([*instructions, rest[at]["content"]])}
    return rest


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}
