"""How instruction, demonstrations and query become one text: plain, or by the chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from icl.protocols import Tokenizer

MARK = "icl-answer"
"""Stands for an answer where a chat template is asked what it writes after one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A demonstration's two sides: what is asked, and what is answered."""

    ask: str
    reply: str
    tokens: int
    """Length of `ask + reply` on its own; an estimate of its share of the prompt."""


class Layout(Protocol):
    """Puts the pieces of a prompt together."""

    def text(self, turns: Sequence[Turn], query: str, suffix: str) -> str:
        """The whole prompt, ready for the answer."""
        ...

    def continuation(self, text: str, after: str) -> str:
        """An answer as it follows the prompt, where `after` is the prompt's suffix."""
        ...

    @property
    def end(self) -> str:
        """What follows an answer before anything else is asked."""
        ...


@dataclass(frozen=True, slots=True)
class PlainLayout:
    """Instruction, demonstrations and query, the task's separator between them."""

    instruction: str
    separator: str

    def text(self, turns: Sequence[Turn], query: str, suffix: str) -> str:
        """See Layout."""
        head = [self.instruction] if self.instruction.strip() else []
        demonstrations = [turn.ask + turn.reply for turn in turns]
        return self.separator.join([*head, *demonstrations, query + suffix.rstrip(" \t")])

    def continuation(self, text: str, after: str) -> str:
        """See Layout."""
        return text

    @property
    def end(self) -> str:
        """See Layout."""
        return self.separator


@dataclass(frozen=True, slots=True)
class ChatLayout:
    """The model's chat template: a turn a demonstration, or everything in one user turn.

    A suffix ("Let's think step by step.") is the beginning of the assistant's own answer, so a
    second stage extends the first stage's text and shares its prefix.
    """

    instruction: str
    separator: str
    tokenizer: Tokenizer
    one_turn: bool = False

    def messages(self, turns: Sequence[Turn], query: str) -> list[Mapping[str, str]]:
        """The messages, the last of which is the user's."""
        if self.one_turn:
            plain = PlainLayout(self.instruction, self.separator)
            return [{"role": "user", "content": plain.text(turns, query, "")}]
        messages = []
        if self.instruction.strip():
            messages.append({"role": "system", "content": self.instruction})
        for turn in turns:
            messages.append({"role": "user", "content": turn.ask})
            messages.append({"role": "assistant", "content": turn.reply.strip()})
        return [*messages, {"role": "user", "content": query}]

    def text(self, turns: Sequence[Turn], query: str, suffix: str) -> str:
        """See Layout."""
        return self.tokenizer.chat(self.messages(turns, query)) + suffix.lstrip().rstrip(" \t")

    def continuation(self, text: str, after: str) -> str:
        """See Layout."""
        return text if after.strip() else text.lstrip()

    @property
    def end(self) -> str:
        """See Layout: as the chat template writes it between an assistant's turn and a user's."""
        turns = [("user", "?"), ("assistant", MARK), ("user", MARK)]
        text = self.tokenizer.chat([{"role": role, "content": content} for role, content in turns])
        between = text.split(MARK)[1]
        # The turn's own end only: what opens the next one is the same whatever was answered.
        opening = text.split("?")[0]
        shared = max(n for n in range(len(opening) + 1) if between.endswith(opening[len(opening) - n :]))
        return between[: len(between) - shared] or between
