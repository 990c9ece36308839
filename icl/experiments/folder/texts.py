"""What a run folder keeps of its data, so that it can be read alone: the definitions of its tasks and
the texts that were shown.

tasks/<name>.json     the task's definition
tasks/<name>.jsonl    one example a line, once each: the queries with their gold targets, and every example
                      that stood in a prompt
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from icl.errors import DataError
from icl.experiments.folder.disk import append, read_mapping, write_whole
from icl.types import Example, Task

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}(@[A-Za-z0-9][A-Za-z0-9_.-]{0,99})?")
"""Of a task, with a wording behind the @ if it has one."""


class TaskTexts:
    """Writes them for one task, each example when it is first added. Raises OSError."""

    def __init__(self, folder: Path, task: Task) -> None:
        folder.mkdir(exist_ok=True)
        definition, self._path = _paths(folder, task.name)
        text = json.dumps(asdict(task), ensure_ascii=False, indent=2, default=str) + "\n"
        if not definition.exists() or definition.read_text(encoding="utf-8") != text:
            write_whole(definition, text)
        examples, whole = _read_examples(self._path)
        if self._path.exists() and self._path.stat().st_size != whole:
            os.truncate(self._path, whole)
        self._known = set(examples)

    def add(self, examples: Iterable[Example]) -> None:
        """Writes those that are not there yet. An id stands for one text: the data are those of the run."""
        new = {e.id: e for e in examples if e.id not in self._known}
        if new:
            append(self._path, "".join(_line(example) + "\n" for example in new.values()))
            self._known.update(new)


def read_task(folder: Path, name: str) -> Task | None:
    """The definition that is kept; None in folders of format 1. DataError where it is damaged."""
    path = _paths(folder, name)[0]
    try:
        record = read_mapping(path)
    except FileNotFoundError:
        return None
    try:
        return TypeAdapter(Task).validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(f"{path}: is damaged ({said})") from error


def read_texts(folder: Path, name: str) -> dict[str, Example]:
    """id -> example, as far as the lines are whole; {} in folders of format 1."""
    return _read_examples(_paths(folder, name)[1])[0]


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    if not PLAIN_NAME.fullmatch(name):
        raise DataError(f"{folder}: task {name!r} cannot name a file")
    return folder / f"{name}.json", folder / f"{name}.jsonl"


def _line(example: Example) -> str:
    record: dict[str, Any] = {"id": example.id, "inputs": dict(example.inputs), "target": example.target}
    if example.choices:
        record["choices"] = dict(example.choices)
    if example.rationale is not None:
        record["rationale"] = example.rationale
    if example.accepted:
        record["accepted"] = list(example.accepted)
    line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(record)
    return line


def _read_examples(path: Path) -> tuple[dict[str, Example], int]:
    """And the bytes of the whole lines."""
    examples: dict[str, Example] = {}
    whole = 0
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return examples, whole
    for line in data.splitlines(keepends=True):
        try:
            record = json.loads(line)
            if not line.endswith(b"\n"):
                break
            example = Example(
                record["id"],
                record["inputs"],
                record["target"],
                record.get("choices", {}),
                record.get("rationale"),
                accepted=tuple(record.get("accepted", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            break
        examples[example.id] = example
        whole += len(line)
    return examples, whole
