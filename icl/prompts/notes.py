"""What a reader of chat prompts should know about the model's template."""

from __future__ import annotations

from icl.protocols import Tokenizer


def chat_notes(tokenizer: Tokenizer, chat: bool | str, instruction: str) -> tuple[str, ...]:
    """An instruction that the template moves, or one that it adds by itself where none is given to it.

    chat: the experiment's `prompt.chat`. () for plain text, and for a tokenizer that cannot tell.
    """
    ask = getattr(tokenizer, "chat_notes", None)
    if not chat or ask is None:
        return ()
    given = chat != "single" and bool(instruction.strip())
    return tuple(ask(given))
