"""From a row of the data to an `Example`, with errors that name the row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from icl.errors import DataError, nearest
from icl.prompts.answers.gold import check_readable, gold_number
from icl.tasks.rows import Row, Table
from icl.tasks.schema import Fields, FieldSpec
from icl.tasks.transforms import TRANSFORMS, choices, number, yes_no
from icl.tasks.values import Number, as_text, shown
from icl.tasks.values import names as present
from icl.types import Example, Task


class RowError(DataError):
    """A row that does not fit its task. `key` is the part of `fields` in the task file that it is read by."""

    def __init__(self, message: str, key: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.key = key


def complete(fields: Fields, task: Task) -> Fields:
    """`fields` with what it leaves out taken from columns named as the task names them: its inputs,
    `label` or `answer`, `choices`, `rationale`."""
    target = "label" if task.kind == "classification" else "answer"
    return Fields(
        inputs={name: fields.inputs.get(name) or FieldSpec(column=name) for name in task.inputs},
        target=fields.target or FieldSpec(column=target),
        choices=fields.choices or (FieldSpec(column="choices") if task.kind == "multiple_choice" else None),
        rationale=fields.rationale or FieldSpec(column="rationale", optional=True),
    )


def examples(table: Table, task: Task, fields: Fields, split: str) -> tuple[Example, ...]:
    """The rows of one split as examples with ids `<split>-<row index>`.

    Raises RowError naming file and line for a row that could not be read, a missing field, an empty input,
    a label that is not in the list, an answer that does not fit the task's kind.
    """
    fields = complete(fields, task)
    return tuple(_example(row, task, fields, split, table.class_names) for row in table.rows)


def sound_examples(
    table: Table, task: Task, fields: Fields, split: str
) -> tuple[tuple[Example, ...], tuple[str, ...]]:
    """The rows that fit, as `examples` makes them, and a line for each that does not.

    Raises RowError, the first one, where none fits.
    """
    fields = complete(fields, task)
    found: list[Example] = []
    bad: list[RowError] = []
    for row in table.rows:
        try:
            found.append(_example(row, task, fields, split, table.class_names))
        except RowError as error:
            bad.append(error)
    if bad and not found:
        raise RowError(f"none of {len(bad)} rows fits; the first: {bad[0]}", bad[0].key)
    return tuple(found), tuple(str(error) for error in bad)


def _example(row: Row, task: Task, fields: Fields, split: str, names: Mapping[str, Sequence[str]]) -> Example:
    if row.problem:
        raise RowError(f"{row.where}: {row.problem}")
    inputs = {name: _input(row, name, spec, names) for name, spec in fields.inputs.items()}
    options = _choices(row, fields.choices, names) if fields.choices is not None else {}
    assert fields.target is not None
    assert fields.rationale is not None
    value = _value(row, fields.target, names, ("target",))
    try:
        target, *accepted = _targets(value, task, options)
    except ValueError as error:
        raise _wrong(row, fields.target, ("target",), error) from error
    found = Example(
        id=f"{split}-{row.index}",
        inputs=inputs,
        target=target,
        choices=options,
        rationale=_rationale(row, fields.rationale, names),
        accepted=tuple(accepted),
    )
    _check_gold(found, task, row, fields.target)
    return found


def _check_gold(example: Example, task: Task, row: Row, spec: FieldSpec) -> None:
    """Every gold must come back when it is written by the template and read as an output is."""
    try:
        check_readable(example, task)
    except ValueError as error:
        hint = "mend the row or template.answer, or leave such rows out with source.skip_bad_rows: true"
        raise _wrong(row, spec, ("target",), ValueError(f"{error}; {hint}")) from error


def _targets(value: Any, task: Task, options: Mapping[str, str]) -> list[str]:
    """The accepted answers, each once: several where the row has a list of them."""
    if not isinstance(value, list | tuple):
        return [_target(value, task, options)]
    if not value:
        raise ValueError("is an empty list")
    return list(dict.fromkeys(_target(one, task, options) for one in value))


def _wrong(row: Row, spec: FieldSpec, key: tuple[str, ...], error: Exception) -> RowError:
    return RowError(f"{row.where}: field {_column(spec)!r}: {error}", key)


def _column(spec: FieldSpec) -> str:
    return spec.column or ", ".join((spec.columns or {}).values())


def _input(row: Row, name: str, spec: FieldSpec, names: Mapping[str, Sequence[str]]) -> str:
    key = ("inputs", name)
    value = _value(row, spec, names, key)
    try:
        text = as_text(value).strip()
        if isinstance(value, bool):
            raise ValueError(f"is {text}: must be text or a number")
        if not text:
            raise ValueError(f"is {shown(value)}: must be text")
    except ValueError as error:
        message = f"{row.where}: field {_column(spec)!r} (input {name!r}) {error}"
        raise RowError(message, key) from error
    return text


def _rationale(row: Row, spec: FieldSpec, names: Mapping[str, Sequence[str]]) -> str | None:
    value = _value(row, spec, names, ("rationale",))
    try:
        return None if value is None else as_text(value).strip() or None
    except ValueError as error:
        raise _wrong(row, spec, ("rationale",), error) from error


def _value(row: Row, spec: FieldSpec, names: Mapping[str, Sequence[str]], key: tuple[str, ...]) -> Any:
    """The column's value after its transforms; None for an optional column that is not there."""
    if spec.columns is not None:
        return {letter: _required(row, column, key) for letter, column in spec.columns.items()}
    column = spec.column or ""
    if spec.optional and lookup(row.values, column) is None:
        return None
    value = _required(row, column, key)
    for name, argument in spec.steps:
        try:
            value = TRANSFORMS[name](value, argument, names.get(column, ()))
        except (ValueError, TypeError) as error:
            raise RowError(f"{row.where}: field {column!r}: {name}: {error}", key) from error
    return value


def lookup(values: Any, column: str) -> Any:
    """The value of `column`; "a.b" is the key "a.b" where there is one, else "b" in the object "a".

    A part of digits also counts the items of a list, from 0. None where there is none.
    """
    if isinstance(values, Mapping):
        if column in values:
            return values[column]
        at = len(column)
        while (at := column.rfind(".", 0, at)) > 0:
            if column[:at] in values:
                return lookup(values[column[:at]], column[at + 1 :])
        return None
    head, _, rest = column.partition(".")
    if isinstance(values, list) and re.fullmatch(r"[0-9]{1,9}", head) and int(head) < len(values):
        item = values[int(head)]
        return lookup(item, rest) if rest else item
    return None


def _required(row: Row, column: str, key: tuple[str, ...]) -> Any:
    value = lookup(row.values, column)
    if value is not None:
        return value
    what = f"input {key[1]!r}" if key[0] == "inputs" else key[0]
    if column in row.values:
        raise RowError(f"{row.where}: field {column!r} ({what}) is empty", key)
    guess = nearest(column, row.values)
    hint = f" Did you mean {shown(guess)}?" if guess else ""
    raise RowError(
        f"{row.where}: no field {column!r} ({what}).{hint} The row has: {present(row.values)}", key
    )


def _choices(row: Row, spec: FieldSpec, names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    try:
        options = choices(_value(row, spec, names, ("choices",)))
        if len(options) < 2:
            raise ValueError(f"holds {len(options)} choices: needs two or more")
    except ValueError as error:
        raise _wrong(row, spec, ("choices",), error) from error
    return options


def _target(value: Any, task: Task, options: Mapping[str, str]) -> str:
    """The target in the task's canonical form."""
    if task.kind == "numeric":
        if isinstance(value, list | tuple | Mapping):
            raise ValueError(f"is {shown(value)}: must be a number")
        written = isinstance(value, str) and not isinstance(value, Number)  # a number of JSON has a point
        return gold_number(value, task.language) if written else str(number(value, None, ()))
    if task.kind == "boolean" and isinstance(value, bool) and set(task.labels) == {"yes", "no"}:
        value = yes_no(value, None, ())
    text = as_text(value)
    if not text.strip():
        raise ValueError("is empty")
    if task.kind == "multiple_choice":
        return _one_of(text, list(options), "choice")
    if not task.labels:
        return text.strip()
    if isinstance(value, bool) and text not in task.labels:
        text = text.capitalize()  # labels as Python writes them
    return _one_of(text, list(task.labels), "label")


def _one_of(text: str, allowed: Sequence[str], what: str) -> str:
    """The one of `allowed` that `text` is, white space around it apart."""
    if text in allowed:
        return text
    fitting = [name for name in allowed if name.strip() == text.strip()]
    if len(fitting) == 1:
        return fitting[0]
    guess = nearest(text, allowed)
    hint = f" Did you mean {guess!r}?" if guess else ""
    raise ValueError(f"{shown(text)} is not a {what} of the task.{hint} Allowed: {', '.join(allowed)}")
