"""Demonstrations written by hand, read from a file: {question, rationale, answer, choices?} a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl.errors import ConfigError, DataError, unknown_name
from icl.prompts.answers.formats.boolean import polarity
from icl.tasks.readers import MIRROR_VARIABLE, mirror_folder, read_file
from icl.tasks.rows import Row
from icl.types import Example, Task

PUBLISHED = "cot_wei"
"""Folder below <ICL_DATA>/prompts with the demonstrations of Wei et al. 2022."""
ARITHMETIC = "math"
"""The eight that the paper uses for every arithmetic data set without choices."""


def published_file(manual: bool | str, task: Task) -> Path:
    """The file of published demonstrations for `task`: the one that `manual` names, or for True the
    one named like the task, for English arithmetic the paper's common eight.

    Raises ConfigError where there is none, DataError where the data are not there.
    """
    folder = mirror_folder("prompts")
    folder = folder / PUBLISHED if folder is not None else None
    if folder is None or not os.path.isdir(folder):
        raise DataError(
            f"manual: {manual!r} reads <{MIRROR_VARIABLE}>/prompts/{PUBLISHED}/*.jsonl: no such folder "
            f"({MIRROR_VARIABLE} names the folder of the data sets); or give prompts: <file>"
        )
    known = {path.stem: path for path in sorted(folder.glob("*.jsonl"))}
    if isinstance(manual, str):
        if manual not in known:
            raise ConfigError(f"manual: {unknown_name('set of demonstrations', manual, known)}")
        return known[manual]
    name = task.name.partition("@")[0]  # whatever its wording
    if name in known:
        return known[name]
    if task.kind == "numeric" and task.language == "en" and ARITHMETIC in known:
        return known[ARITHMETIC]
    raise ConfigError(
        f"manual: there are no published demonstrations for task {task.name!r}; name a set "
        f"({', '.join(known)}), or give prompts: <file>"
    )


def read_demonstrations(path: Path, task: Task) -> list[Example]:
    """The file's rows as examples of `task`, ids "<file's name>/<row>".

    Raises DataError naming file, line and key where a row does not fit the task.
    """
    rows = read_file(path).rows
    return [example_of(row, f"{path.stem}/{at}", task) for at, row in enumerate(rows)]


def given_file(prompts: str) -> Path:
    """The path that a parameter `prompts` names; environment variables ($ICL_DATA) are put in."""
    return Path(os.path.expandvars(prompts)).expanduser()


def example_of(row: Row, name: str, task: Task) -> Example:
    """One row as an example. DataError naming its file and line where it does not fit the task."""
    values: Mapping[str, Any] = row.values
    inputs = {field: _text(values, field, row.where) for field in task.inputs if field in values}
    if not inputs and len(task.inputs) == 1:
        inputs = {task.inputs[0]: _text(values, "question", row.where)}
    missing = [field for field in task.inputs if field not in inputs]
    if missing:
        raise DataError(f"{row.where}: no {missing[0]!r}, an input of task {task.name!r}")
    choices = values.get("choices") or {}
    if task.kind == "multiple_choice" and not isinstance(choices, Mapping):
        raise DataError(f"{row.where}: choices is {choices!r}; allowed: {{letter: text}}")
    target = _target(_text(values, "answer", row.where), choices, task, row.where)
    return Example(name, inputs, target, dict(choices), _text(values, "rationale", row.where))


def _target(answer: str, choices: Mapping[str, str], task: Task, where: str) -> str:
    """The answer as the task writes it; DataError where it is none of the task's."""
    allowed = tuple(choices) if task.kind == "multiple_choice" else task.labels
    if not allowed:
        return answer
    for label in allowed:
        if answer.casefold() in (label.casefold(), task.verbalise(label).strip().casefold()):
            return label
    said = {"yes": True, "true": True, "no": False, "false": False}.get(answer.casefold())
    if task.kind == "boolean" and said in (meaning := polarity(task)):
        return meaning[said]
    raise DataError(f"{where}: answer {answer!r} is none of {', '.join(allowed)} of task {task.name!r}")


def _text(values: Mapping[str, Any], key: str, where: str) -> str:
    value = values.get(key)
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise DataError(f"{where}: {key} is {value!r}; a demonstration needs question, rationale and answer")
    return str(value)
