"""Texts to learn from: instruction data in four forms, and plain texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from icl.errors import DataError, ModelError, unknown_name
from icl.prompts.layout import ChatLayout
from icl.protocols import Tokenizer
from icl.tasks.readers import read_file
from icl.tasks.rows import Row
from icl.training import TrainingRow

Layout = Literal["alpaca", "chat"]
LAYOUTS = ("alpaca", "chat")
ROLES = ("system", "user", "assistant")
FORMS = "prompt and completion; instruction, output and perhaps input; messages; text"

_TASK = "Below is an instruction that describes a task"
_WANTED = "Write a response that appropriately completes the request."
ALPACA = f"{_TASK}. {_WANTED}\n\n### Instruction:\n{{instruction}}\n\n### Response:"
ALPACA_INPUT = (
    f"{_TASK}, paired with an input that provides further context. {_WANTED}\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
"""Both prompts as published with Alpaca (Taori et al. 2023)."""


class InstructionRows:
    """Rows of a file as training rows.

    layout: of rows with an instruction: Alpaca's two prompts, or one user turn of the model's chat template.
    end: what stands after an answer that is no turn of a chat, learned too; chats end as their template ends
    a turn. ends: whether any end is learned.
    """

    def __init__(self, tokenizer: Tokenizer, layout: Layout, end: str, *, ends: bool) -> None:
        self._tokenizer, self._layout = tokenizer, layout
        self._end, self._ends = end if ends else "", ends
        self._turn_end: str | None = None
        self.empty = 0
        """Answers of nothing but white space: left out."""

    def read(self, path: Path) -> list[TrainingRow]:
        """All rows of a JSONL or JSON file. DataError naming file and line of one of no form."""
        rows = []
        for row in read_file(path).rows:
            for at, (prompt, completion, end) in enumerate(self._pairs(row)):
                if not completion.strip():
                    self.empty += 1
                    continue
                rows.append(TrainingRow(f"{path.name}:{row.index}.{at}", prompt, completion + end, path.name))
        if not rows:
            raise DataError(f"{path}: no row has an answer to learn")
        return rows

    def _pairs(self, row: Row) -> list[tuple[str, str, str]]:
        """(prompt, completion, its end) of each answer in a row."""
        values = row.values
        if "messages" in values:
            return self._turns(row, values["messages"])
        if "prompt" in values and "completion" in values:
            return [(_text(row, "prompt"), _text(row, "completion"), self._end)]
        if "instruction" in values and "output" in values:
            return [self._instruction(row)]
        if "text" in values:
            return [("", _text(row, "text"), self._end)]
        keys = ", ".join(values) or "none"
        raise DataError(f"{row.where}: is no instruction row: it has the keys {keys}; allowed: {FORMS}")

    def _instruction(self, row: Row) -> tuple[str, str, str]:
        instruction, answer = _text(row, "instruction"), _text(row, "output")
        given = _text(row, "input") if row.values.get("input") is not None else ""
        if self._layout == "chat":
            asked = f"{instruction}\n\n{given}" if given.strip() else instruction
            return self._chat(row, [{"role": "user", "content": asked}], answer)
        form = ALPACA_INPUT if given.strip() else ALPACA
        # the input first: a text of the row that looks like a field is left as it is
        before, _, after = form.partition("{instruction}")
        return before + instruction + after.replace("{input}", given, 1), answer, self._end

    def _turns(self, row: Row, messages: object) -> list[tuple[str, str, str]]:
        """An answer for each turn of the assistant, behind all that was said before it."""
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise DataError(f"{row.where}: messages is {_short(messages)}; allowed: a list of turns")
        said: list[dict[str, str]] = []
        found = []
        for at, message in enumerate(messages):
            role, content = _turn(row, at, message)
            if role == "assistant":
                if not said or said[-1]["role"] != "user":
                    raise DataError(f"{row.where}: messages[{at}] answers no turn of the user")
                found.append(self._chat(row, said, content))
            said.append({"role": role, "content": content})
        if not found:
            raise DataError(f"{row.where}: messages has no turn of the assistant to learn")
        return found

    def _chat(self, row: Row, said: Sequence[Mapping[str, str]], answer: str) -> tuple[str, str, str]:
        try:
            prompt = self._tokenizer.chat(said)
            if self._turn_end is None:
                self._turn_end = ChatLayout("", "", self._tokenizer).end if self._ends else ""
        except ModelError as error:
            raise DataError(f"{row.where}: is a chat, and {error}") from error
        return prompt, answer.strip(), self._turn_end


def _turn(row: Row, at: int, message: object) -> tuple[str, str]:
    if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
        raise DataError(
            f"{row.where}: messages[{at}] is {_short(message)}; allowed: an object with role and content"
        )
    role, content = message["role"], message["content"]
    if role not in ROLES:
        raise DataError(f"{row.where}: messages[{at}]: {unknown_name('role', str(role), ROLES)}")
    if not isinstance(content, str):
        raise DataError(f"{row.where}: messages[{at}]: content is {_short(content)}; allowed: a text")
    return role, content


def plain_texts(path: Path) -> list[str]:
    """Texts of a file: `text`, or prompt and completion joined. DataError naming file and line."""
    found = []
    for row in read_file(path).rows:
        if "text" in row.values:
            found.append(_text(row, "text"))
        elif "prompt" in row.values and "completion" in row.values:
            found.append(_text(row, "prompt") + _text(row, "completion"))
        else:
            keys = ", ".join(row.values) or "none"
            raise DataError(
                f"{row.where}: has no text: its keys are {keys}; allowed: text, or prompt and completion"
            )
    return found


def _text(row: Row, key: str) -> str:
    value: Any = row.values[key]
    if not isinstance(value, str):
        raise DataError(f"{row.where}: {key} is {_short(value)}; allowed: a text")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
