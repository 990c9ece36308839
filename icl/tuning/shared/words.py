"""The words that a prompt or a prefix may start from."""

from __future__ import annotations

from icl.errors import ConfigError
from icl.prompts.template import render_instruction
from icl.protocols import TuningResources
from icl.types import Task, TokenIds


def start_text(task: Task) -> str:
    """What the task says of itself: its instruction, then the words of its labels; without both its name."""
    labels = ", ".join(task.verbalise(label) for label in task.labels)
    parts = [part for part in (render_instruction(task).strip(), labels) if part]
    return " ".join(parts) or task.name


def start_ids(text: str, length: int, resources: TuningResources, method: str) -> TokenIds:
    """`length` ids: those of `text`, or of what the task says, repeated or cut to fit, as peft does.

    What the tokenizer puts before every text stands first and once. ConfigError for a text without tokens.
    """
    said = text or start_text(resources.task)
    ids = resources.tokenizer.encode(said)
    before = resources.tokenizer.encode("")
    if ids[: len(before)] != before:
        before = ()
    body = ids[len(before) :]
    if not body:
        raise ConfigError(f"tuner {method!r}: text is {said!r}, which has no tokens to start from")
    repeated = (*before, *body * (length // len(body) + 1))
    return repeated[:length]
