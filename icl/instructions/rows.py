"""The noun of instruction data: a row, and its line in a file."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icl.errors import DataError
from icl.tasks.rows import Row

MARKS = " .!?\u3002"
"""At the end of a text they make no other of it. (NFKC has made full-width ones plain.)"""


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """What is asked, perhaps of an input, and what is answered; or a plain text."""

    id: str
    instruction: str = ""
    input: str = ""
    output: str = ""
    text: str = ""
    """Plain text, learned from its first token on; the three above are empty then."""
    source: str = ""
    """The task, file or seed that it is from."""
    licence: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)
    """How: {"by": generator, "template": ..., "model": ..., ...}."""
    ids: tuple[str, ...] = ()
    """Of the items of the source that went into it."""

    @property
    def prompt(self) -> str:
        """Instruction and input, a blank line between them."""
        return f"{self.instruction}\n\n{self.input}" if self.input.strip() else self.instruction

    @property
    def whole(self) -> str:
        """Everything that a model would see."""
        return self.text or f"{self.prompt}\n{self.output}"

    @property
    def fields(self) -> tuple[str, ...]:
        """Its texts apart."""
        return tuple(text for text in (self.text, self.instruction, self.input, self.output) if text)

    @property
    def key(self) -> int:
        """64 bits that rows share which are equal but for case, white space, width and marks at the end."""
        return key_of((self.text,) if self.text else (self.instruction, self.input, self.output))


def key_of(parts: Sequence[str]) -> int:
    """See `InstructionRow.key`. Cheaper than `icl.tasks.duplicates`: a corpus may have millions of rows."""
    folded = [unicodedata.normalize("NFKC", part).casefold() for part in parts]
    joined = "\x1f".join(" ".join(part.split()).rstrip(MARKS) for part in folded)
    return int.from_bytes(
        hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def to_line(row: InstructionRow, again: int = 0) -> str:
    """A line of JSON without its end; what is empty is left out, but for input and output of an instruction.

    again: how often the row stood before it in a mixture; its id says so.
    """
    values: dict[str, Any] = {"id": f"{row.id}~{again + 1}" if again else row.id}
    if row.text:
        values["text"] = row.text
    else:
        values |= {"instruction": row.instruction, "input": row.input, "output": row.output}
    values |= {"source": row.source, "licence": row.licence, "made": dict(row.made), "ids": list(row.ids)}
    kept = {key: value for key, value in values.items() if value or key in ("instruction", "input", "output")}
    line = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    try:
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(kept, separators=(",", ":"))
    return line


def from_line(line: str) -> InstructionRow:
    """The row of a line that `to_line` wrote. ValueError or KeyError for another."""
    values = json.loads(line)
    return InstructionRow(
        values["id"],
        values.get("instruction", ""),
        values.get("input", ""),
        values.get("output", ""),
        values.get("text", ""),
        values.get("source", ""),
        values.get("licence", ""),
        values.get("made", {}),
        tuple(values.get("ids", ())),
    )


FORMS = "instruction, output and perhaps input; prompt and completion; text"


def from_values(row: Row, name: str) -> InstructionRow:
    """A row of anybody's file. name: of the file, for ids. DataError naming the row's line."""
    values = row.values

    def text(key: str) -> str:
        value = values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise DataError(f"{row.where}: {key} is {str(value)[:60]!r}; allowed: a text")
        return value

    if "instruction" in values and "output" in values:
        parts = {key: text(key) for key in ("instruction", "input", "output")}
    elif "prompt" in values and "completion" in values:
        parts = {"instruction": text("prompt"), "output": text("completion")}
    elif "text" in values:
        parts = {"text": text("text")}
    else:
        keys = ", ".join(values) or "none"
        raise DataError(f"{row.where}: is no instruction row: it has the keys {keys}; allowed: {FORMS}")
    made = values.get("made")
    ids = values.get("ids")
    return InstructionRow(
        str(values.get("id") or f"{name}:{row.index}"),
        source=text("source") or name,
        licence=text("licence"),
        made=dict(made) if isinstance(made, Mapping) else {},
        ids=tuple(map(str, ids)) if isinstance(ids, list) else (),
        **parts,
    )
